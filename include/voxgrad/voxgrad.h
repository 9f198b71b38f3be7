/* voxgrad: every room's public face. A program that only attributes, or only encodes, includes that room's header instead. */
#ifndef VOXGRAD_VOXGRAD_H
#define VOXGRAD_VOXGRAD_H

#include "voxgrad/attribution.h"
#include "voxgrad/base.h"
#include "voxgrad/brain.h"
#include "voxgrad/comm.h"
#include "voxgrad/device.h"
#include "voxgrad/encoding.h"
#include "voxgrad/lm.h"
#include "voxgrad/report.h"
#include "voxgrad/stimulus.h"
#include "voxgrad/store.h"
#include "voxgrad/study.h"

#endif
