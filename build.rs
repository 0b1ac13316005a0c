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

/// What differs between systems, as cfgs that `src/sys/` uses. Each names a property, and the systems that have it.
const PROPERTIES: &[(&str, &[&str])] = &[
    // Names and numbers of Linux's own interface.
    ("linux_like", LINUX),
    // MSG_PEEK with a control buffer installs duplicates of the descriptors that it shows.
    ("peek_installs", LINUX),
    // select(2) ignores numbers beyond the descriptor table's present size.
    ("select_ends_at_table", LINUX),
    // recvmsg(2) says EMSGSIZE when it had no slot for a descriptor, which it then destroyed.
    ("full_table_is_emsgsize", NOT_LINUX),
    // cmsg_len of a truncated control message may run past the buffer.
    ("cmsg_len_not_cut", NOT_LINUX),
    // recvmsg(2) has no MSG_CMSG_CLOEXEC.
    ("cloexec_after_recvmsg", &["macos", "ios", "solaris"]),
    // socket(2) has no SOCK_CLOEXEC, and there is no accept4(2).
    ("cloexec_after_socket", APPLE),
    // SIGPIPE needs a socket option beside MSG_NOSIGNAL.
    ("sigpipe_by_option", APPLE),
    // There is no pthread_cancel(3), or PTHREAD_CANCEL_DISABLE is 0.
    ("no_thread_cancellation", &["android"]),
    ("cancel_disable_is_0", APPLE),
    // nix has no flock(2) there.
    ("no_flock", &["solaris"]),
    // nix has no ENOTRECOVERABLE there.
    ("no_enotrecoverable", &["netbsd"]),
    // Who the peer is: SO_PEERCRED, getpeerucred(3C), or else getpeereid(3).
    ("has_so_peercred", LINUX),
    ("has_getpeerucred", &["illumos", "solaris"]),
];
const LINUX: &[&str] = &["linux", "android"];
const APPLE: &[&str] = &["macos", "ios"];
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
    for (property, systems) in PROPERTIES {
        println!("cargo:rustc-check-cfg=cfg({property})");
        if systems.contains(&system.as_str()) {
            println!("cargo:rustc-cfg={property}");
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
