/*
 * The messages of nfqueue.c on a big-endian kernel: gcc stores the numbers in all structures the other way round,
 * those of the uapi headers included.
 */

#define BIG_ENDIAN_KERNEL
#pragma scalar_storage_order big-endian
#include "nfqueue.c"
