// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names the shared object, picks the interface to the operating system, and (feature `header`)
//! writes the C header. Everything goes to OUT_DIR; the tree is never written to.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FDPASSER_SYSV");
    println!("cargo:rustc-check-cfg=cfg(fdpasser_sysv)");

    if env::var_os("FDPASSER_SYSV").is_some_and(|v| !v.is_empty() && v != "0") {
        println!("cargo:rustc-cfg=fdpasser_sysv");
    }
    soname();
    #[cfg(feature = "header")]
    header();
}

/// While the major version is 0 the minor one is the ABI's, as Cargo counts compatibility.
fn soname() {
    let part = |name: &str| env::var(format!("CARGO_PKG_VERSION_{name}")).unwrap();
    let abi = match part("MAJOR").as_str() {
        "0" => format!("0.{}", part("MINOR")),
        major => major.to_owned(),
    };
    match env::var("CARGO_CFG_TARGET_OS").unwrap().as_str() {
        "macos" => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libfdpasser.{abi}.dylib")
        }
        _ => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libfdpasser.so.{abi}");
            // Interpreters unload libraries before they run their last finalizers, which free passers.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
}

#[cfg(feature = "header")]
fn header() {
    use std::path::PathBuf;

    let sources = ["src/ffi.rs", "src/ffi/endpoint.rs", "src/ffi/passer.rs"];
    for input in sources.iter().chain(&["cbindgen.toml"]) {
        println!("cargo:rerun-if-changed={input}");
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("fdpasser.h");
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))
        .unwrap_or_else(|e| panic!("cbindgen.toml: {e}"));
    sources
        .iter()
        .fold(cbindgen::Builder::new(), |builder, source| {
            builder.with_src(root.join(source))
        })
        .with_config(config)
        .generate()
        .unwrap_or_else(|e| panic!("cbindgen: {e}"))
        .write_to_file(out);
}
