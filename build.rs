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
    properties();
    c_library();
    soname();
    #[cfg(feature = "header")]
    header();
}

/// What differs between systems, as cfgs that `src/` uses. Each names a property, and the systems that have it.
///
/// These are about names, which only the system itself has.
const NAMES: &[(&str, &[&str])] = &[
    // SIGPIPE needs a socket option beside MSG_NOSIGNAL.
    ("sigpipe_by_option", APPLE),
    // There is no pthread_cancel(3), or PTHREAD_CANCEL_DISABLE is 0.
    ("no_thread_cancellation", &["android"]),
    ("cancel_disable_is_0", APPLE),
    // nix has no dup3(2) there.
    ("no_dup3", &["android", "dragonfly", "macos", "ios"]),
    // Whether there is a pipe2(2) is not known.
    ("no_pipe2", &["solaris"]),
    // O_NDELAY is another flag than O_NONBLOCK.
    ("has_o_ndelay", SOLARISH),
    // nix has no flock(2) there.
    ("no_flock", &["solaris"]),
];

/// These are about what a kernel does, as its source says. FDPASSER_PLAY=netbsd builds a library for Linux with the properties
/// of NetBSD. tests/kernels/ plays that kernel for it.
///
/// Solaris' source is closed. It has the properties of illumos where a wrong guess would pass a loss over.
const KERNELS: &[(&str, &[&str])] = &[
    // Linux's own interface.
    ("linux_like", LINUX),
    // --- receiving ---
    // MSG_PEEK with a control buffer installs duplicates of the descriptors that it shows.
    ("peek_installs", &["linux", "android", "illumos"]),
    // It fails with EMFILE if they do not all fit.
    ("peek_installs_all_or_none", &["illumos"]),
    // recvmsg(2) says this when it had no slot for a descriptor. All descriptors of the message are destroyed then. (On
    // the BSDs and macOS its bytes stay, and come next.)
    ("full_table_is_emsgsize", BSD),
    ("full_table_is_emfile", SOLARISH),
    // recvmsg(2) destroys descriptors with these errors, too.
    ("eperm_destroys", &["netbsd", "openbsd"]),
    ("einval_destroys", &["netbsd"]),
    // This is what pledge(2) says with "error".
    ("enosys_destroys", &["openbsd"]),
    ("e2big_enobufs_destroy", &["freebsd"]),
    ("emfile_enomem_destroy", APPLE),
    // cmsg_len of a truncated control message may run past the buffer.
    ("cmsg_len_not_cut", NOT_LINUX),
    // recvmsg(2) has no MSG_CMSG_CLOEXEC, or some releases ignore it.
    ("no_msg_cmsg_cloexec", &["macos", "ios", "solaris"]),
    (
        "cloexec_after_recvmsg",
        &["macos", "ios", "solaris", "illumos"],
    ),
    // --- room ---
    // select(2) ignores numbers beyond the descriptor table's present size.
    ("select_ends_at_table", LINUX),
    // poll(2) without events does not say POLLNVAL of a closed number.
    ("poll_hides_closed", APPLE),
    // No number beyond this sysctl(3) can be opened, whatever getrlimit(2) says.
    ("limit_is_maxfilesperproc", &["macos", "ios", "freebsd"]),
    ("limit_is_maxfiles", &["netbsd"]),
    // --- sending ---
    // A message carries 127 descriptors.
    ("carries_127", &["openbsd"]),
    // It says E2BIG of more descriptors than a message carries, or EMSGSIZE.
    ("too_many_is_e2big", &["freebsd", "openbsd"]),
    // Several descriptors in a message that meets a nearly full buffer are destroyed, and sendmsg(2) reports success.
    ("several_are_lost", &["netbsd", "dragonfly"]),
    ("several_are_lost_before_13", &["freebsd"]),
    // sendmsg(2) ignores MSG_DONTWAIT. What works is MSG_NBIO, or O_NONBLOCK.
    ("msg_nbio", &["netbsd", "freebsd"]),
    ("only_o_nonblock", &["macos", "ios", "illumos", "solaris"]),
    // sendmsg(2) says EMSGSIZE if the message does not fit now, though it would later.
    ("full_is_emsgsize", &["netbsd", "macos", "ios"]),
    // It says this if too many descriptors are in flight.
    ("in_flight_is_eagain", &["netbsd"]),
    ("in_flight_is_emfile", &["openbsd"]),
    // It says EBADF of a kqueue, which is open, and cannot be sent.
    ("kqueue_is_ebadf", &["netbsd"]),
    // --- sockets ---
    // socket(2) has no SOCK_CLOEXEC, and there is no accept4(2).
    ("cloexec_after_socket", APPLE),
    // Old releases have no ENOTRECOVERABLE, and nix knows none.
    ("no_enotrecoverable", &["netbsd"]),
    // Who the peer is. DragonFly, which has none of these, has getpeereid(3).
    ("has_so_peercred", LINUX),
    ("has_getpeerucred", SOLARISH),
    ("has_xucred", &["freebsd"]),
    ("has_local_peereid", &["netbsd"]),
    ("has_sockpeercred", &["openbsd"]),
    ("has_local_peerpid", APPLE),
];
const LINUX: &[&str] = &["linux", "android"];
const APPLE: &[&str] = &["macos", "ios"];
const SOLARISH: &[&str] = &["illumos", "solaris"];
const BSD: &[&str] = &["freebsd", "dragonfly", "netbsd", "openbsd", "macos", "ios"];
const NOT_LINUX: &[&str] = &[
    "freebsd",
    "dragonfly",
    "netbsd",
    "openbsd",
    "macos",
    "ios",
    "illumos",
    "solaris",
];

fn properties() {
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap();
    println!("cargo:rerun-if-env-changed=FDPASSER_PLAY");
    println!("cargo:rustc-check-cfg=cfg(played)");
    let played = env::var("FDPASSER_PLAY").ok().filter(|v| !v.is_empty());
    if let Some(played) = &played {
        assert!(
            NOT_LINUX.contains(&played.as_str()),
            "FDPASSER_PLAY: {played}?"
        );
        println!("cargo:rustc-cfg=played");
    }
    // scripts/inversions builds with one property inverted, to see which test notices.
    println!("cargo:rerun-if-env-changed=FDPASSER_PLAY_INVERTED");
    let inverted = env::var("FDPASSER_PLAY_INVERTED").unwrap_or_default();
    let kernel = played.unwrap_or_else(|| system.clone());
    for (table, system) in [(NAMES, &system), (KERNELS, &kernel)] {
        for (property, systems) in table {
            println!("cargo:rustc-check-cfg=cfg({property})");
            if systems.contains(&system.as_str()) != (inverted == *property) {
                println!("cargo:rustc-cfg={property}");
            }
        }
    }
}

/// What differs between C libraries on one system, likewise.
fn c_library() {
    let is = |name: &str, value: &str| env::var(name).as_deref() == Ok(value);
    // sendmsg(3) copies control messages, to a buffer that has no room for 253 descriptors in musl 1.2.3.
    println!("cargo:rustc-check-cfg=cfg(sendmsg_copies)");
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("CARGO_CFG_TARGET_POINTER_WIDTH", "64") {
        println!("cargo:rustc-cfg=sendmsg_copies");
    }
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

/// The subjects stand in the header in this order, each under the first line of its file.
#[cfg(feature = "header")]
const SUBJECTS: [&str; 5] = [
    "connections",
    "transfer",
    "passer",
    "inherited",
    "constants",
];

#[cfg(feature = "header")]
fn header() {
    use std::fs;
    use std::path::PathBuf;

    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("fdpasser.h");
    let sources = SUBJECTS.map(|subject| root.join(format!("src/ffi/{subject}.rs")));
    let config = root.join("cbindgen.toml");
    for input in sources.iter().chain([&config]) {
        println!("cargo:rerun-if-changed={}", input.display());
    }
    let mut config =
        cbindgen::Config::from_file(&config).unwrap_or_else(|e| panic!("cbindgen.toml: {e}"));
    config.after_includes = Some(version());
    let builder = cbindgen::Builder::new().with_config(config);
    let mut text = Vec::new();
    sources
        .iter()
        .fold(builder, cbindgen::Builder::with_src)
        .generate()
        .unwrap_or_else(|e| panic!("cbindgen: {e}"))
        .write(&mut text);
    let mut text = String::from_utf8(text).unwrap();
    for source in &sources {
        let source = fs::read_to_string(source).unwrap();
        // cbindgen knows no headings: so each goes in front of the comment of its first function.
        let after = |mark: &str| source.split_once(mark).map(|(_, rest)| rest);
        let heading = after("//! ").and_then(|rest| rest.lines().next());
        let first = after("extern \"C\" fn ").and_then(|rest| rest.split('(').next());
        let (heading, first) = heading.zip(first).expect("a heading and a function");
        let in_comment = |at: usize| text[..at].rsplit('\n').next().unwrap().starts_with(" *");
        let (declared, _) = text
            .match_indices(&format!("{first}("))
            .find(|&(at, _)| !in_comment(at))
            .expect("it is declared");
        let comment = text[..declared].rfind("/**").expect("it has a comment");
        text.insert_str(
            comment,
            &format!("/* --- {} --- */\n\n", heading.trim_end_matches('.')),
        );
    }
    fs::write(out, on_one_line(&text)).unwrap();
}

/// A comment of one line stands on one line.
#[cfg(feature = "header")]
fn on_one_line(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let short = match lines.as_slice() {
            [.., start, text] if start.trim() == "/**" && line.trim() == "*/" => {
                text.trim().strip_prefix("* ").map(|text| {
                    let indent = " ".repeat(start.len() - start.trim_start().len());
                    format!("{indent}/** {text} */")
                })
            }
            _ => None,
        };
        match short {
            Some(short) => {
                lines.truncate(lines.len() - 2);
                lines.push(short);
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

/// The version of Cargo.toml as constants of C's.
#[cfg(feature = "header")]
fn version() -> String {
    let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(|part| {
        let part = env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap();
        part.parse::<u8>().expect("it fits its two digits")
    });
    let constant = |name: &str, value: String, what: &str| {
        format!("\n/**\n * {what}\n */\n#define {name} {value}\n")
    };
    [
        constant(
            "FDPASSER_VERSION",
            format!("0x{major:02x}{minor:02x}{patch:02x}"),
            "The version of this header, two digits for each part: 0x010203 is 1.2.3.",
        ),
        constant(
            "FDPASSER_VERSION_MAJOR",
            major.to_string(),
            "The first part of the version.",
        ),
        constant(
            "FDPASSER_VERSION_MINOR",
            minor.to_string(),
            "The second part of the version.",
        ),
        constant(
            "FDPASSER_VERSION_PATCH",
            patch.to_string(),
            "The third part of the version.",
        ),
    ]
    .concat()
    .trim_end()
    .to_owned()
}
