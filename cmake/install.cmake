# libsaccade: the runtime and the video source as one shared library, with public headers.
