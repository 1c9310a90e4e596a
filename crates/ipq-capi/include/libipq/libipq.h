/* The other name of <libipq.h>. SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "../libipq.h"
