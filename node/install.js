// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Builds the module in C: build/fdpasser.node. `npm install` runs this. It downloads nothing that Node needs, so node-gyp,
// which wants to download headers, is not used.
//
// The C library in it is the first of these that there is:
//
// 1. the file that FDPASSER_LIB names, a libfdpasser.a or a libfdpasser.so (FDPASSER_INCLUDE names the header's directory);
// 2. what cargo builds from the Rust sources around this directory or in libfdpasser/;
// 3. an installed libfdpasser that pkg-config finds. With FDPASSER_LIB=installed only that is taken.
//
// For `npm pack`, --bundle copies the Rust sources to libfdpasser/, and --unbundle removes them. --headers says where Node's
// headers are.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const here = __dirname;
const build = path.join(here, 'build');
const bundled = path.join(here, 'libfdpasser');
const cargoTarget = path.join(build, 'cargo');
const macos = process.platform === 'darwin';
const cargo = process.env.CARGO || 'cargo';

function stop(text) {
  console.error(`fdpasser: ${text}`);
  process.exit(1);
}

// What a command prints, or undef if it fails or there is no such command.
function output(command, ...words) {
  const { status, stdout } = spawnSync(command, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return status === 0 ? stdout.trim() : undefined;
}

function run(command, ...words) {
  const { status, error } = spawnSync(command, words, { stdio: ['ignore', 2, 2] });
  if (status !== 0) stop(`this failed${error ? ` (${error.message})` : ''}: ${[command, ...words].join(' ')}`);
}

const has = (...parts) => fs.existsSync(path.join(...parts));
const words = (text) => (text ?? '').split(/\s+/).filter(Boolean);

// --- Node's headers ----------------------------------------------------------------------------------

// They come with Node itself, in Debian with libnode-dev, which has uv.h one directory higher. Headers of another version do as
// well: N-API and the part of libuv that is used here do not change.
function nodeHeaders() {
  const installed = path.dirname(path.dirname(fs.realpathSync(process.execPath)));
  const gyp = path.join(os.homedir(), macos ? 'Library/Caches' : '.cache', 'node-gyp', process.versions.node);
  const places = [process.env.npm_config_nodedir, installed, gyp, '/usr/local', '/usr'].filter(Boolean).map((place) => path.join(place, 'include', 'node'));
  const found = places.find((place) => has(place, 'node_api.h') && (has(place, 'uv.h') || has(place, '..', 'uv.h') || has('/usr/include/uv.h')));
  if (found) return found;
  return stop(
    `Node's headers (node_api.h and uv.h) are in none of these:\n${[...new Set(places)].map((place) => `    ${place}\n`).join('')}` +
      'In Debian they are in the package libnode-dev. `npm install --nodedir=DIRECTORY` names another place.',
  );
}

// --- libfdpasser -------------------------------------------------------------------------------------

// Returns the compiler's words for the library.
function library() {
  const named = process.env.FDPASSER_LIB;
  if (named && named !== 'installed') return namedLibrary(path.resolve(process.env.INIT_CWD ?? '.', named));
  const crate = [path.dirname(here), bundled].find((place) => has(place, 'src', 'ffi.rs'));
  if (named !== 'installed' && crate && output(cargo, '--version')) return builtLibrary(crate);
  const installed = output('pkg-config', '--cflags', '--libs', 'fdpasser');
  if (installed !== undefined) {
    const directory = output('pkg-config', '--variable=libdir', 'fdpasser');
    const known = ['/usr/lib', '/lib', '/usr/local/lib'].some((place) => directory === place || directory.startsWith(`${place}/`));
    return [...words(installed), ...(known ? [] : [`-Wl,-rpath,${directory}`])];
  }
  return stop(
    named === 'installed'
      ? 'pkg-config finds no installed libfdpasser. PKG_CONFIG_PATH can name the directory of fdpasser.pc'
      : 'neither cargo (Rust 1.81 or newer) nor an installed libfdpasser was found',
  );
}

function namedLibrary(file) {
  if (!fs.existsSync(file)) stop(`FDPASSER_LIB: there is no ${file}`);
  const places = [process.env.FDPASSER_INCLUDE, path.join(here, '..', 'include'), path.join(here, 'libfdpasser', 'include'), '/usr/local/include', '/usr/include'];
  const include = places.find((place) => place && has(place, 'fdpasser.h'));
  if (!include) stop('there is no fdpasser.h. FDPASSER_INCLUDE can name its directory');
  if (file.endsWith('.a')) return archive(file, include);
  // The module finds its copy beside itself, under the name that it asks the loader for.
  const soname = macos ? path.basename(file) : (output('objdump', '-p', file) ?? '').match(/SONAME\s+(\S+)/)?.[1] ?? path.basename(file);
  const copy = path.join(build, soname);
  fs.copyFileSync(file, `${copy}.new`); // another process may have the old one loaded
  fs.renameSync(`${copy}.new`, copy);
  return [`-I${include}`, copy, macos ? '-Wl,-rpath,@loader_path' : '-Wl,-rpath,$ORIGIN'];
}

function builtLibrary(crate) {
  run(cargo, 'build', '--release', '--locked', '--manifest-path', path.join(crate, 'Cargo.toml'), '--target-dir', cargoTarget);
  return archive(path.join(cargoTarget, 'release', 'libfdpasser.a'), path.join(crate, 'include'));
}

// The module does not export the archive's symbols.
function archive(file, include) {
  return [`-I${include}`, file, ...(macos ? [] : ['-Wl,--exclude-libs,ALL', '-lpthread', '-ldl', '-lm'])];
}

// --- building, and bundling --------------------------------------------------------------------------

function compile() {
  fs.mkdirSync(build, { recursive: true });
  const cc = words(process.env.CC || 'cc');
  if (output(...cc, '--version') === undefined) stop(`there is no C compiler: ${cc.join(' ')}`);
  const headers = nodeHeaders();
  const withLibrary = library();
  const shared = macos ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared'];
  const flags = ['-std=gnu99', '-O2', '-Wall', '-Wextra', '-fPIC', '-fvisibility=hidden', ...words(process.env.CFLAGS)];
  const made = path.join(build, 'fdpasser.node');
  const sources = fs.readdirSync(path.join(here, 'src')).filter((name) => name.endsWith('.c')).map((name) => path.join(here, 'src', name));
  run(...cc, ...flags, ...shared, `-isystem${headers}`, `-idirafter${path.dirname(headers)}`, '-o', `${made}.new`, ...sources, ...withLibrary, ...words(process.env.LDFLAGS));
  fs.renameSync(`${made}.new`, made);
  fs.rmSync(cargoTarget, { recursive: true, force: true });
}

const licences = ['LICENSE-MIT', 'LICENSE-APACHE'];

// What cargo would publish, without the files that it would generate.
function bundle() {
  const crate = path.dirname(here);
  if (!has(crate, 'src', 'ffi.rs')) return; // this is a package already
  const listed = output(cargo, 'package', '--list', '--allow-dirty', '--locked', '--offline', '--manifest-path', path.join(crate, 'Cargo.toml'));
  if (listed === undefined) stop('`cargo package --list` failed');
  unbundle();
  for (const file of listed.split('\n').filter((name) => has(crate, name))) {
    fs.mkdirSync(path.dirname(path.join(bundled, file)), { recursive: true });
    fs.copyFileSync(path.join(crate, file), path.join(bundled, file));
  }
  for (const file of licences) fs.copyFileSync(path.join(crate, file), path.join(here, file));
}

function unbundle() {
  if (!has(here, '..', 'src', 'ffi.rs')) return;
  for (const file of [bundled, ...licences.map((name) => path.join(here, name))]) fs.rmSync(file, { recursive: true, force: true });
}

switch (process.argv[2]) {
  case '--bundle':
    bundle();
    break;
  case '--unbundle':
    unbundle();
    break;
  case '--headers':
    console.log(nodeHeaders());
    break;
  default:
    compile();
}
