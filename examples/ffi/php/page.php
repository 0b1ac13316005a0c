<?php
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A page for php-fpm: header.php says how to set that up. It connects to the server at a node and shows the files that
// come from there: the data and the contents of each. FDPASSER_NODE in the request's parameters is the node.
declare(strict_types=1);

header('Content-Type: text/plain');
try {
    $passer = Passer::connect($_SERVER['FDPASSER_NODE']);
    while (($received = $passer->recv()) !== null) {
        [$fd, $data] = $received;
        echo "$data: ", contents($fd);
    }
    $passer->close();
} catch (RuntimeException $error) {
    http_response_code(500);
    echo $error->getMessage(), "\n";
}
