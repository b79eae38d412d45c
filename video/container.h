// Does a video file hold as many bytes as its container says it should?
#ifndef SAC_VIDEO_CONTAINER_H
#define SAC_VIDEO_CONTAINER_H

#include <stdint.h>

// Bytes the file must have according to its outermost structure, or 0 when that says nothing (other
// containers, lengths left open by a recorder, unreadable file). Known: MP4/MOV boxes,
// Matroska/WebM segments, AVI RIFF chunks.
int64_t sac_container_declared_bytes(const char *path);

#endif
