// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the answers of a kernel mean. Nothing here makes a system call, so the tests below drive each decision for each
//! property of `build.rs` on any system.

use nix::errno::Errno;

/// The properties that decide what an answer means. `build.rs` says which kernel has which.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(test, derive(Default))]
pub(super) struct Kernel {
    pub full_table_is_emsgsize: bool,
    pub full_table_is_emfile: bool,
    pub eperm_destroys: bool,
    pub einval_destroys: bool,
    pub enosys_destroys: bool,
    pub e2big_enobufs_destroy: bool,
    pub emfile_enomem_destroy: bool,
    pub too_many_is_e2big: bool,
    pub several_are_lost: bool,
    pub several_are_lost_before_13: bool,
    pub full_is_emsgsize: bool,
    pub in_flight_is_eagain: bool,
    pub in_flight_is_emfile: bool,
    pub kqueue_is_ebadf: bool,
}

/// The kernel that this library was built for.
pub(super) const HERE: Kernel = Kernel {
    full_table_is_emsgsize: cfg!(full_table_is_emsgsize),
    full_table_is_emfile: cfg!(full_table_is_emfile),
    eperm_destroys: cfg!(eperm_destroys),
    einval_destroys: cfg!(einval_destroys),
    enosys_destroys: cfg!(enosys_destroys),
    e2big_enobufs_destroy: cfg!(e2big_enobufs_destroy),
    emfile_enomem_destroy: cfg!(emfile_enomem_destroy),
    too_many_is_e2big: cfg!(too_many_is_e2big),
    several_are_lost: cfg!(several_are_lost),
    several_are_lost_before_13: cfg!(several_are_lost_before_13),
    full_is_emsgsize: cfg!(full_is_emsgsize),
    in_flight_is_eagain: cfg!(in_flight_is_eagain),
    in_flight_is_emfile: cfg!(in_flight_is_emfile),
    kqueue_is_ebadf: cfg!(kqueue_is_ebadf),
};

impl Kernel {
    /// Whether recvmsg(2) without MSG_PEEK destroyed the descriptors of a message when it failed with this.
    pub(super) fn destroys(&self, error: Errno) -> bool {
        match error {
            Errno::EMSGSIZE => self.full_table_is_emsgsize,
            Errno::EMFILE => self.full_table_is_emfile || self.emfile_enomem_destroy,
            Errno::EPERM => self.eperm_destroys,
            Errno::EINVAL => self.einval_destroys,
            Errno::ENOSYS => self.enosys_destroys,
            Errno::E2BIG | Errno::ENOBUFS => self.e2big_enobufs_destroy,
            Errno::ENOMEM => self.emfile_enomem_destroy,
            _ => false,
        }
    }

    /// What an errno of sendmsg(2) means. None: try again. `is_writable` asks poll(2), and only where the answer matters.
    pub(super) fn send(
        &self,
        error: Errno,
        several: bool,
        tried_again: bool,
        is_writable: impl FnOnce() -> bool,
    ) -> Option<Errno> {
        // EINVAL is what Linux says of too many descriptors. The message is split then.
        let too_large = if several { Errno::EINVAL } else { error };
        let (full, never) = match error {
            Errno::EMSGSIZE if self.full_is_emsgsize => (Errno::EAGAIN, too_large),
            Errno::E2BIG | Errno::EMSGSIZE if self.too_many_is_e2big => return Some(too_large),
            Errno::EAGAIN if self.in_flight_is_eagain => (Errno::EAGAIN, Errno::ENOBUFS),
            Errno::EMFILE if self.in_flight_is_emfile => {
                return Some(Errno::ETOOMANYREFS);
            }
            other => return Some(other),
        };
        match (is_writable(), tried_again) {
            (false, _) => Some(full),
            // The peer may have made room between the two calls.
            (true, false) => None,
            (true, true) => Some(never),
        }
    }

    /// What EBADF of sendmsg(2) means. It may be about a descriptor that is open, and cannot be sent. `are_open` asks whether
    /// the passer and all descriptors are open.
    pub(super) fn refused(&self, error: Errno, are_open: impl FnOnce() -> bool) -> Errno {
        match error {
            Errno::EBADF if self.kqueue_is_ebadf && are_open() => Errno::EOPNOTSUPP,
            other => other,
        }
    }

    /// The most descriptors that may be sent in one message. `release` asks for the kernel's release.
    pub(super) fn most_to_send(&self, most: usize, release: impl FnOnce() -> Option<u32>) -> usize {
        let old = || release().map_or(true, |release| release < 13);
        if self.several_are_lost || self.several_are_lost_before_13 && old() {
            return 1;
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERRORS: [Errno; 13] = [
        Errno::EAGAIN,
        Errno::EINTR,
        Errno::EBADF,
        Errno::ECONNRESET,
        Errno::EPIPE,
        Errno::EMSGSIZE,
        Errno::EMFILE,
        Errno::EPERM,
        Errno::EINVAL,
        Errno::ENOSYS,
        Errno::E2BIG,
        Errno::ENOBUFS,
        Errno::ENOMEM,
    ];

    /// With this property these errors of recvmsg(2) mean destroyed descriptors, and no others do.
    fn destroys(kernel: Kernel, errors: &[Errno]) {
        for error in ERRORS {
            let expected = errors.contains(&error);
            assert_eq!(kernel.destroys(error), expected, "{kernel:?}, {error}");
        }
    }

    #[test]
    fn an_error_of_recvmsg_can_mean_that_descriptors_are_destroyed() {
        destroys(Kernel::default(), &[]);
        destroys(
            Kernel {
                full_table_is_emsgsize: true,
                ..Kernel::default()
            },
            &[Errno::EMSGSIZE],
        );
        destroys(
            Kernel {
                full_table_is_emfile: true,
                ..Kernel::default()
            },
            &[Errno::EMFILE],
        );
        destroys(
            Kernel {
                eperm_destroys: true,
                ..Kernel::default()
            },
            &[Errno::EPERM],
        );
        destroys(
            Kernel {
                einval_destroys: true,
                ..Kernel::default()
            },
            &[Errno::EINVAL],
        );
        destroys(
            Kernel {
                enosys_destroys: true,
                ..Kernel::default()
            },
            &[Errno::ENOSYS],
        );
        destroys(
            Kernel {
                e2big_enobufs_destroy: true,
                ..Kernel::default()
            },
            &[Errno::E2BIG, Errno::ENOBUFS],
        );
        destroys(
            Kernel {
                emfile_enomem_destroy: true,
                ..Kernel::default()
            },
            &[Errno::EMFILE, Errno::ENOMEM],
        );
    }

    fn unasked() -> bool {
        panic!("poll(2) is not asked where its answer does not matter")
    }

    #[test]
    fn an_error_of_sendmsg_is_itself_where_it_has_one_meaning() {
        for error in ERRORS {
            for (several, again) in [(false, false), (false, true), (true, false), (true, true)] {
                assert_eq!(
                    Kernel::default().send(error, several, again, unasked),
                    Some(error)
                );
            }
        }
    }

    #[test]
    fn emsgsize_of_a_socket_that_is_not_writable_means_full() {
        let kernel = Kernel {
            full_is_emsgsize: true,
            ..Kernel::default()
        };
        for again in [false, true] {
            assert_eq!(
                kernel.send(Errno::EMSGSIZE, false, again, || false),
                Some(Errno::EAGAIN)
            );
        }
        assert_eq!(kernel.send(Errno::EMSGSIZE, false, false, || true), None);
        assert_eq!(
            kernel.send(Errno::EMSGSIZE, false, true, || true),
            Some(Errno::EMSGSIZE)
        );
        assert_eq!(
            kernel.send(Errno::EAGAIN, false, false, unasked),
            Some(Errno::EAGAIN)
        );
    }

    #[test]
    fn a_message_of_several_that_is_too_large_is_einval() {
        let kernel = Kernel {
            full_is_emsgsize: true,
            ..Kernel::default()
        };
        let writable = || true;
        assert_eq!(
            kernel.send(Errno::EMSGSIZE, true, true, writable),
            Some(Errno::EINVAL)
        );
        let kernel = Kernel {
            too_many_is_e2big: true,
            ..Kernel::default()
        };
        for error in [Errno::E2BIG, Errno::EMSGSIZE] {
            assert_eq!(
                kernel.send(error, true, false, unasked),
                Some(Errno::EINVAL)
            );
            assert_eq!(kernel.send(error, false, false, unasked), Some(error));
        }
    }

    #[test]
    fn eagain_of_a_writable_socket_can_mean_too_many_in_flight() {
        let kernel = Kernel {
            in_flight_is_eagain: true,
            ..Kernel::default()
        };
        for again in [false, true] {
            assert_eq!(
                kernel.send(Errno::EAGAIN, false, again, || false),
                Some(Errno::EAGAIN)
            );
        }
        assert_eq!(kernel.send(Errno::EAGAIN, false, false, || true), None);
        assert_eq!(
            kernel.send(Errno::EAGAIN, false, true, || true),
            Some(Errno::ENOBUFS)
        );
        assert_eq!(
            kernel.send(Errno::EMSGSIZE, false, false, unasked),
            Some(Errno::EMSGSIZE)
        );
    }

    #[test]
    fn emfile_of_sendmsg_can_mean_too_many_in_flight() {
        let kernel = Kernel {
            in_flight_is_emfile: true,
            ..Kernel::default()
        };
        assert_eq!(
            kernel.send(Errno::EMFILE, false, false, unasked),
            Some(Errno::ETOOMANYREFS)
        );
        assert_eq!(
            kernel.send(Errno::EAGAIN, false, false, unasked),
            Some(Errno::EAGAIN)
        );
    }

    #[test]
    fn ebadf_of_what_is_open_can_mean_that_it_cannot_be_sent() {
        let unasked = || panic!("nobody asks what is open where that does not matter");
        assert_eq!(
            Kernel::default().refused(Errno::EBADF, unasked),
            Errno::EBADF
        );
        let kernel = Kernel {
            kqueue_is_ebadf: true,
            ..Kernel::default()
        };
        assert_eq!(kernel.refused(Errno::EPIPE, unasked), Errno::EPIPE);
        assert_eq!(kernel.refused(Errno::EBADF, || true), Errno::EOPNOTSUPP);
        assert_eq!(kernel.refused(Errno::EBADF, || false), Errno::EBADF);
    }

    #[test]
    fn several_descriptors_in_a_message_are_sent_only_where_none_is_lost() {
        let unasked = || panic!("the release does not matter");
        assert_eq!(Kernel::default().most_to_send(253, unasked), 253);
        let never = Kernel {
            several_are_lost: true,
            ..Kernel::default()
        };
        assert_eq!(never.most_to_send(253, unasked), 1);
        let before_13 = Kernel {
            several_are_lost_before_13: true,
            ..Kernel::default()
        };
        assert_eq!(before_13.most_to_send(253, || Some(13)), 253);
        assert_eq!(before_13.most_to_send(253, || Some(12)), 1);
        assert_eq!(before_13.most_to_send(253, || None), 1);
    }
}
