/* What the programs in this directory share.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PLAYED_H
#define PLAYED_H

#include "kernel.h"
#include "queue.h"

/* The errno of destroyed descriptors. */
#define LOST (played == NETBSD ? ENOLINK : ENOTRECOVERABLE)

/* Several descriptors in a message may be lost. */
HELPER int several_are_lost(void)
{
    return played == NETBSD || played == DRAGONFLY || played == FREEBSD10;
}

/* Bytes of a message whose descriptors are destroyed come next, alone. */
HELPER int bytes_stay(void)
{
    return played != ILLUMOS;
}

#endif
