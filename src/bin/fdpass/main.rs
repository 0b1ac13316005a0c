// SPDX-License-Identifier: MIT OR Apache-2.0
//! fdpass(1): hands open descriptors to another process, or receives some and runs a command with them.
//!
//! `options` reads the command line, `connection` finds the other side, `send` and `recv` are the two jobs, and `process` is
//! everything that needs unsafe code.
#![no_main]
#![deny(unsafe_code)]

mod connection;
mod options;
mod process;
mod recv;
mod send;

use options::Job;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};

/// What ends the program: an exit status, and one line that says why.
struct Failure {
    status: u8,
    why: String,
}

/// The other side, or what it sent, is not what the options ask for.
const REFUSED: u8 = 123;
const TIMED_OUT: u8 = 124;
const FAILED: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

impl Failure {
    fn new(status: u8, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { status, why }
    }

    /// What the system said of `what`.
    fn of(what: impl Display, error: &io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TIMED_OUT,
            _ => FAILED,
        };
        let why = match status {
            TIMED_OUT => "timed out".to_owned(),
            _ => said(error),
        };
        Self::new(status, format!("{what}: {why}"))
    }
}

/// The words of the system, without the number.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Returns the exit status. (`recv` does not return if all goes well.)
fn run(arguments: Vec<OsString>) -> u8 {
    let done = options::parse(arguments).and_then(|job| match job {
        Job::Print(text) => print(&text),
        Job::Send(job) => send::run(&job),
        Job::Recv(job) => recv::run(job).map(|never| match never {}),
    });
    match done {
        Ok(()) => 0,
        Err(failure) => {
            complain(&failure.why);
            failure.status
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let written = io::stdout().write_all(text.as_bytes());
    let flushed = written.and_then(|()| io::stdout().flush());
    flushed.map_err(|error| Failure::of("standard output", &error))
}

/// One line on standard error, if there is one.
fn complain(why: &str) {
    let line: String = why
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    let _ = io::stderr().write_all(format!("fdpass: {line}\n").as_bytes());
}
