/* SPDX-License-Identifier: MIT */
/* libvsm: Hyper-V Virtual Secure Mode for the guests of a KVM virtual machine monitor. */
#ifndef VSM_VSM_H
#define VSM_VSM_H

#include "vsm/events.h"
#include "vsm/export.h"
#include "vsm/interrupt.h"
#include "vsm/log.h"
#include "vsm/memory.h"
#include "vsm/partition.h"
#include "vsm/probe.h"
#include "vsm/stats.h"
#include "vsm/synic.h"
#include "vsm/vcpu.h"
#include "vsm/version.h"

#endif
