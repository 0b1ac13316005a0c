// SPDX-License-Identifier: MIT OR Apache-2.0
module fdpasser.example/pass

go 1.19
