#!/usr/bin/env php
<?php
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Sends or receives numbered descriptors with data: PHP's FFI. poll(2) waits.
//
// Usage: pass.php send|recv COUNT PASSER
//
// PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT pipes. Their
// contents are "1", "2", and so on. A line of standard input goes along with each as its data; after the end of the
// input they have no data. The receiver checks that it gets these pipes, in order, and nothing after them. It prints
// the number and the data of each.
//
// Fdpasser.php says what the environment needs if the library is not installed.
declare(strict_types=1);

require __DIR__ . '/Fdpasser.php';

function send(Passer $passer, int $count): void
{
    $lib = Libfdpasser::functions();
    $ends = $lib->new('int[2]');
    for ($number = 1; $number <= $count; $number++) {
        $text = (string) $number;
        Libfdpasser::checked('pipe', $lib->pipe($ends));
        Libfdpasser::checked('write', $lib->write($ends[1], $text, strlen($text)));
        $lib->close($ends[1]);
        $line = fgets(STDIN);
        $passer->pushSend($ends[0], $line === false ? '' : preg_replace('/\n\z/', '', $line));
        $passer->flush(16);
    }
    $passer->flush();
}

function receive(Passer $passer, int $count): void
{
    for ($number = 1; $number <= $count; $number++) {
        [$fd, $data] = $passer->recv() ?? throw new RuntimeException("the end came before $number");
        $text = contents($fd);
        if ($text !== (string) $number) {
            throw new RuntimeException("'$text' came, not $number");
        }
        echo "$number: $data\n";
    }
    if ($passer->recv() !== null) {
        throw new RuntimeException("more than $count came");
    }
}

$go = ['send' => 'send', 'recv' => 'receive'][$argv[1] ?? ''] ?? null;
if ($go === null || $argc !== 4 || !ctype_digit($argv[2]) || !ctype_digit($argv[3])) {
    fwrite(STDERR, "usage: pass.php send|recv COUNT PASSER\n");
    exit(1);
}
try {
    $passer = new Passer((int) $argv[3]);
    $go($passer, (int) $argv[2]);
    $passer->close();
} catch (RuntimeException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
