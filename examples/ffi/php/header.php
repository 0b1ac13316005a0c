<?php
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Prints what php-fpm needs to find the C functions once, when it starts:
//
//     php header.php > /usr/local/include/fdpasser-php.h
//
// and in php.ini:
//
//     ffi.preload=/usr/local/include/fdpasser-php.h
//     opcache.preload=/path/to/Fdpasser.php
//     opcache.preload_user=www-data
//
// Then all requests have the classes, and ffi.enable stays at "preload", so that no other file can call C.
declare(strict_types=1);

require __DIR__ . '/Fdpasser.php';

echo Libfdpasser::header();
