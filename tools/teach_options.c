// The option table of `teach`, one group per teacher family. Does nothing but translate.
#include "teach_options.h"

#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "teach_presets.h"

#define AT(member) .offset = offsetof(teach_settings, member)

// A group titled "Teacher NAME: ..." belongs to that family: its values enter provenance and stamp
// of runs of that family only.
static const char GROUP[] = "Teacher ";

// clang-format off
static const sac_option options[] = {
    {.name = "", .help = "What to learn from"},
    {.name = "dataset", .letter = 'i', .type = SAC_OPTION_TEXT, AT(dataset),
     .argument = "DIR",
     .help = "data set in one of the layouts above, or a folder that holds one; LAYOUT:DIR names "
             "the layout"},
    {.name = "detector", .type = SAC_OPTION_TEXT, AT(detector),
     .text = "motion", .argument = "LIST",
     .help = "motion, flow, boxes:FILE.csv (clip,frame,x1,y1,x2,y2[,confidence][,class]; frames "
             "from 1), "
             "darknet:CFG:WEIGHTS[:NAMES], onnx:FILE[:NAMES], or several separated by commas"},
    {.name = "min-confidence", .type = SAC_OPTION_REAL, AT(detection.min_confidence),
     .number = 0.5, .min = 0, .max = 1, .help = "boxes below are dropped"},
    {.name = "motion-threshold", .type = SAC_OPTION_REAL, AT(detection.motion_threshold),
     .number = 14, .min = 0.5, .max = 255,
     .help = "gray levels above the noise that count as motion"},
    {.name = "flow-threshold", .type = SAC_OPTION_REAL, AT(detection.flow_threshold),
     .number = 0.4, .min = 0.01, .max = 1000, .argument = "PX",
     .help = "pixels a frame above the noise of the flow that count as motion"},
    {.name = "min-area", .type = SAC_OPTION_REAL, AT(detection.min_area_px),
     .number = 40, .min = 1, .max = 1e6, .argument = "PX",
     .help = "pixels of the smallest moving blob or flow object"},
    {.name = "drop-nested", .type = SAC_OPTION_REAL, AT(detection.drop_nested),
     .number = -1, .min = -1, .max = 1,
     .help = "drop boxes of files and networks of which this part lies inside a box 3 to 20 times "
             "as large, mostly feet "
             "and bags; 0: none; negative: 0.8, or with --from what the teacher was trained with"},
    {.name = "network-scale", .type = SAC_OPTION_REAL, AT(detection.network_scale),
     .number = 0, .min = 0, .max = 16,
     .help = "pixels of a detection network per pixel of the frame, by a larger input or tiles: 2 "
             "or 3 for small "
             "people; 0: the frame is fitted into the network's own input"},
    {.name = "network-size", .type = SAC_OPTION_TEXT, AT(detection.network_size), .argument = "WxH",
     .help = "input of detection networks instead of their own"},
    {.name = "network-overlap", .type = SAC_OPTION_REAL, AT(detection.network_overlap),
     .number = 0.25, .min = 0, .max = 0.75, .help = "of neighbouring tiles, as part of a tile"},
    {.name = "network-nms", .type = SAC_OPTION_REAL, AT(detection.network_nms),
     .number = 0.45, .min = 0, .max = 1,
     .help = "IoU above which a box suppresses weaker ones of its class"},
    {.name = "classes", .type = SAC_OPTION_TEXT, AT(detection.classes), .argument = "LIST",
     .help = "classes of detection networks to keep, names or numbers; all otherwise"},
    {.name = "detections-cache", .type = SAC_OPTION_TEXT, AT(detection.cache), .argument = "DIR",
     .help = "where boxes of detection networks are kept for other runs"},
    {.name = "", .help = "The teacher"},
    {.name = "teacher", .type = SAC_OPTION_CHOICE, AT(teacher),
     .choices = SAC_FAMILIES, .help = "teacher family"},
    {.name = "from", .type = SAC_OPTION_TEXT, AT(from), .argument = "FILE|MAPS",
     .help = "score with this trained teacher (or that of a map store) instead of training one"},
    {.name = "backend", .type = SAC_OPTION_CHOICE, AT(backend),
     .choices = "onednn|ref", .help = "ref repeats the run on the plain reference (slow)"},
    {.name = "", .help = "Learning, for families that learn in steps"},
    {.name = "epochs", .type = SAC_OPTION_INT, AT(learning.epochs),
     .number = 6, .min = 1, .max = 100000, .help = "validations during training"},
    {.name = "samples-per-epoch", .type = SAC_OPTION_INT, AT(learning.samples_per_epoch),
     .number = 4096, .min = 0, .max = 1e9,
     .help = "objects trained on between validations; 0: all"},
    {.name = "validation-samples", .type = SAC_OPTION_INT, AT(learning.validation_samples),
     .number = 1024, .min = 0, .max = 1e9, .help = "held-back objects per validation; 0: all"},
    {.name = "batch", .type = SAC_OPTION_INT, AT(learning.batch),
     .number = 64, .min = 2, .max = 4096, .help = "objects per step"},
    {.name = "learning-rate", .type = SAC_OPTION_REAL, AT(learning.learning_rate),
     .number = 1e-3, .min = 1e-9, .max = 1, .help = "of Adam, at the start"},
    {.name = "schedule", .type = SAC_OPTION_CHOICE, AT(schedule),
     .choices = "cosine|constant", .help = "course of the learning rate"},
    {.name = "max-time", .type = SAC_OPTION_DURATION, AT(learning.max_minutes),
     .number = 0, .min = 0, .max = 1e6, .help = "training ends after so long; 0: no limit"},
    {.name = "max-minutes", .type = SAC_OPTION_REAL, AT(learning.max_minutes), .min = 0, .max = 1e6,
     .hidden = true},
    {.name = "checkpoint-minutes", .type = SAC_OPTION_REAL, AT(learning.checkpoint_minutes),
     .number = 2, .min = 0, .max = 1e6, .help = "between checkpoints; 0: after every step"},
    {.name = "", .help = "Teacher ssmtl: proxy tasks on object-centric sequences"},
    {.name = "preset", .type = SAC_OPTION_CHOICE, AT(preset), .choices = TEACH_PRESETS,
     .help = "other defaults, see the values in --preset NAME --help: fast for minutes, hour for "
             "accuracy in about "
             "an hour on two cores, paper as published"},
    {.name = "tasks", .type = SAC_OPTION_TEXT, AT(ssmtl.tasks), .text = "middle,arrow,irregularity",
     .argument = "LIST",
     .help = "of middle, arrow, irregularity, distillation, segmentation, pose, jigsaw, "
             "inpainting, pseudo"},
    {.name = "distill-features", .type = SAC_OPTION_TEXT, AT(ssmtl.imitate[0]),
     .argument = "NETWORK",
     .help = "what the task distillation imitates: FILE.onnx[:OUTPUT] or "
             "darknet:CFG:WEIGHTS[:LAYER]"},
    {.name = "distill-segmentation", .type = SAC_OPTION_TEXT, AT(ssmtl.imitate[1]),
     .argument = "NETWORK",
     .help = "the same for the task segmentation"},
    {.name = "distill-pose", .type = SAC_OPTION_TEXT, AT(ssmtl.imitate[2]), .argument = "NETWORK",
     .help = "the same for the task pose"},
    {.name = "distill-preprocess", .type = SAC_OPTION_CHOICE, AT(ssmtl.preprocess),
     .choices = SAC_IMAGE_PREPROCESSES,
     .help = "input of these networks; auto: caffe for squeezenet1.1, raw for yolox, unit for "
             "Darknet, else imagenet"},
    {.name = "backbone", .type = SAC_OPTION_CHOICE, AT(ssmtl.design.backbone),
     .choices = SAC_SSMTL_BACKBONES, .help = "shared 3D network"},
    {.name = "convolution", .type = SAC_OPTION_CHOICE, AT(ssmtl.design.convolution),
     .choices = SAC_SSMTL_CONVOLUTIONS,
     .help = "3x3x3 in one, in space and then time, or per channel"},
    {.name = "crop-size", .type = SAC_OPTION_INT, AT(ssmtl.design.crop_size),
     .number = 64, .min = 16, .max = 256, .argument = "PX", .help = "side of an object's crops"},
    {.name = "transformer", .type = SAC_OPTION_INT, AT(ssmtl.design.transformer),
     .number = 0, .min = 0, .max = 8, .argument = "N",
     .help = "blocks of 3D convolutional transformer"},
    {.name = "masked", .type = SAC_OPTION_BOOL, AT(ssmtl.design.masked),
     .help = "a masked convolution block before the last pooling"},
    {.name = "residual", .type = SAC_OPTION_BOOL, AT(ssmtl.design.residual), .number = 1,
     .help = "the decoder adds to the mean of the neighbouring crops"},
    {.name = "dropout", .type = SAC_OPTION_REAL, AT(ssmtl.design.dropout),
     .number = 0.3, .min = 0, .max = 0.95, .help = "of the heads"},
    {.name = "mirror", .type = SAC_OPTION_BOOL, AT(ssmtl.augmentation.mirror), .number = 1,
     .help = "mirror half of the training samples"},
    {.name = "jitter", .type = SAC_OPTION_REAL, AT(ssmtl.augmentation.jitter),
     .number = 0, .min = 0, .max = 1,
     .help = "shift and scale half of them, 1: by up to 8 and 15 %; for runs of many passes over "
             "the objects"},
    {.name = "brightness", .type = SAC_OPTION_REAL, AT(ssmtl.augmentation.brightness),
     .number = 0, .min = 0, .max = 1,
     .help = "vary contrast and brightness, 1: by up to 20 and 10 %; as above"},
    {.name = "weight-decay", .type = SAC_OPTION_REAL, AT(ssmtl.weight_decay),
     .number = 0, .min = 0, .max = 1, .help = "of AdamW; 0: plain Adam"},
    {.name = "score-normalisation", .type = SAC_OPTION_CHOICE, AT(ssmtl.normalisation),
     .choices = "training|paper",
     .help = "task scores relative to training objects, or to the extremes of each clip"},
    {.name = "cache", .type = SAC_OPTION_BOOL, AT(ssmtl.cache), .number = 1,
     .help = "keep the crops of training objects in a file of the work folder"},
    {.name = "",
     .help = "Teacher background-agnostic: auto-encoders of appearance and optical flow"},
    {.name = "agnostic-width", .type = SAC_OPTION_CHOICE, AT(agnostic.width),
     .choices = SAC_AGNOSTIC_WIDTHS, .help = "of the auto-encoders: 16 or 32 channels"},
    {.name = "agnostic-crop-size", .type = SAC_OPTION_INT, AT(agnostic.crop_size),
     .number = 64, .min = 16, .max = 256, .argument = "PX",
     .help = "side of an object's crops, a multiple of 8"},
    {.name = "agnostic-lambda", .type = SAC_OPTION_REAL, AT(agnostic.lambda),
     .number = 1, .min = 0, .max = 1000,
     .help = "of the gradient reversed before the adversary; 0: plain auto-encoders"},
    {.name = "",
     .help = "Teacher attributes: velocity, direction, size, rest, looks by nearest neighbours"},
    {.name = "attributes", .type = SAC_OPTION_TEXT, AT(attributes.attributes),
     .text = SAC_ATTRIBUTES_DEFAULT,
     .argument = "LIST",
     .help = "of velocity, orientation, place, size, rest, appearance, course, stay, deep; each "
             "is one task"},
    {.name = "deep-features", .type = SAC_OPTION_TEXT, AT(attributes.deep.network),
     .argument = "NETWORK",
     .help = "image network whose output is the attribute 'deep': FILE.onnx[:OUTPUT] or "
             "darknet:CFG:WEIGHTS[:LAYER]; "
             "also where to find it for --from and --members, if it is no longer where it was"},
    {.name = "deep-preprocess", .type = SAC_OPTION_TEXT, AT(attributes.deep.preprocess),
     .text = "auto",
     .argument = "HOW",
     .help = SAC_IMAGE_PREPROCESSES " as --distill-preprocess, or rgb:MEAN:SCALE or "
                                    "bgr:MEAN:SCALE, "
     "(x - MEAN) * SCALE of 0..255, one number or three (R/G/B)"},
    {.name = "deep-size", .type = SAC_OPTION_INT, AT(attributes.deep.side),
     .number = 0, .min = 0, .max = 2048, .argument = "PX",
     .help = "side of its input, far cheaper when small; 0: the network's own"},
    {.name = "bank", .type = SAC_OPTION_INT, AT(attributes.bank),
     .number = 4000, .min = 16, .max = 65536,
     .help = "training objects kept per group; of appearance a quarter"},
    {.name = "neighbours", .type = SAC_OPTION_INT, AT(attributes.neighbours),
     .number = 3, .min = 1, .max = 16,
     .help = "nearest training objects an object is compared with"},
    {.name = "flow-step", .type = SAC_OPTION_INT, AT(attributes.step),
     .number = 0, .min = 0, .max = 3,
     .help = "frames the optical flow reaches over; 0: by the speed of the objects"},
    {.name = "combination", .type = SAC_OPTION_CHOICE, AT(attributes.combination),
     .number = 2, .choices = "mean|max|tail",
     .help = "of the tasks: their mean, the largest, or the sum of their "
     "logarithmic tail probabilities"},
    {.name = "", .help = "Teacher ensemble: the mean of several trained teachers"},
    {.name = "members", .type = SAC_OPTION_TEXT, AT(ensemble.members),
     .argument = "NAME=MAPS[:WEIGHT],...",
     .help = "map stores of the same data set and boxes; equal weights unless given"},
    {.name = "", .help = "What to write"},
    {.name = "output", .letter = 'o', .type = SAC_OPTION_TEXT, AT(output),
     .argument = "DIR", .help = "map store to make"},
    {.name = "training-maps", .type = SAC_OPTION_BOOL, AT(training_maps), .number = 1,
     .help = "maps of the training clips too, from which students and ensembles learn; without "
             "them a teacher is "
             "measured in less than half the time"},
    {.name = "block", .type = SAC_OPTION_INT, AT(block),
     .number = 0, .min = 0, .max = 4096, .argument = "PX",
     .help = "pixels per cell of the painted map; 0: an 80th of the height"},
    {.name = "filter", .type = SAC_OPTION_INT, AT(filter),
     .number = 9, .min = 1, .max = SAC_MAPS_MAX_FILTER, .argument = "N",
     .help = "side of the mean filter over covered map cells and frames, odd; 1: none"},
    {.name = "overlay", .type = SAC_OPTION_LIST, AT(overlay),
     .argument = "CLIP=FILE",
     .help = "also write a video of this clip with its map and scored boxes"},
    {.name = "overlays", .type = SAC_OPTION_TEXT, AT(overlays),
     .argument = "DIR", .help = "such videos of all test clips"},
    {.name = "report", .type = SAC_OPTION_TEXT, AT(report),
     .argument = "FILE",
     .help = "an HTML page: score curves, false alarms, misses, every task's extremes"},
    {.name = "resume", .type = SAC_OPTION_BOOL, AT(resume),
     .help = "continue an interrupted run of the same settings exactly"},
    {.name = "overwrite", .type = SAC_OPTION_BOOL, AT(overwrite),
     .help = "discard what the output folder holds"},
    SAC_TOOL_OPTIONS(teach_settings),
    {.name = NULL},
};
// clang-format on

const sac_command teach_command = {
    .name = "teach",
    .usage = "--dataset DIR [--detector LIST] -o MAPS [options]",
    .description =
        "Trains a teacher on the training clips of a data set, or takes a trained one, and writes "
        "its anomaly maps of every clip.\n\n"
        "  teach --dataset UCSDped2 -o runs/motion\n"
        "  teach --dataset UCSDped2 --detector boxes:train.csv,boxes:test.csv -o runs/yolo "
        "--overlays runs/yolo/videos\n"
        "  teach --dataset UCSDped2 --preset hour -o runs/hour\n"
        "  teach --dataset UCSDped2 --from runs/motion -o runs/again\n\n"
        "A run that was stopped or killed continues with the same command and --resume.\n\n"
        "Layouts of data sets, found by their structure; some of the clips are enough:\n"
        "  ucsd          Train/Train001/, Test/Test001/, Test/Test001_gt/ pictures; Test/*.m "
        "ranges\n"
        "  avenue        training_videos/01.avi, testing_videos/01.avi, testing_label_mask/"
        "1_label.mat\n"
        "                (also in ground_truth_demo/, here or beside)\n"
        "  shanghaitech  training/videos/01_001.avi, testing/frames/01_0014/000.jpg,\n"
        "                testing/test_frame_mask/01_0014.npy, testing/test_pixel_mask/01_0014.npy\n"
        "  ubnormal      SceneS/normal_scene_S_scenario_K.mp4, "
        "SceneS/abnormal_scene_S_scenario_K.mp4 and\n"
        "                its _annotations/; halves by the published lists of video names if they "
        "are there\n"
        "  mirror        training/frames/CLIP/000.jpg, testing/frames/CLIP/000.jpg, SET.mat with "
        "gt 2xK\n"
        "  generic       train/ and test/ with videos or folders of pictures; labels CLIP.txt or "
        "CLIP.npy\n"
        "                beside the test clips, one value a frame, or labels.csv with "
        "video,start,end\n\n"
        "Frames of labels.csv (start and end both included), of tables of boxes and of objects.csv "
        "count from 1;\n"
        "those that student-run writes from 0.",
    .options = options,
    .min_positional = 0,
    .max_positional = 0,
};

// ---- families
// ----------------------------------------------------------------------------------------------

static sac_learning_options learning_of(const teach_settings *set, sac_backend backend) {
    sac_learning_options o = set->learning;
    o.cosine = set->schedule == 0;
    o.seed = (uint64_t)set->tool.seed;
    o.backend = backend;
    return o;
}

static const void *fill_ssmtl(teach_settings *set, sac_backend backend) {
    set->ssmtl.learning = learning_of(set, backend);
    return &set->ssmtl;
}

static const void *fill_agnostic(teach_settings *set, sac_backend backend) {
    set->agnostic.learning = learning_of(set, backend);
    return &set->agnostic;
}

static const void *fill_attributes(teach_settings *set, sac_backend backend) {
    set->attributes.backend = backend;
    set->attributes.seed = (uint64_t)set->tool.seed;
    return &set->attributes;
}

static const void *fill_ensemble(teach_settings *set, sac_backend backend) {
    set->ensemble.backend = backend;
    return &set->ensemble;
}

static const struct {
    const char *name;
    const void *(*fill)(teach_settings *set, sac_backend backend);
} FAMILIES[] = {
    {"ssmtl", fill_ssmtl},
    {"background-agnostic", fill_agnostic},
    {"attributes", fill_attributes},
    {"ensemble", fill_ensemble},
};

// Options that matter to a run of `family` (NULL: none is trained).
static json_t *settings_json(const teach_settings *set, const char *family) {
    // Where files lie on this machine is nobody's business, and no part of the method.
    static const char *const local[] = {"dataset",
                                        "detector",
                                        "from",
                                        "output",
                                        "overlay",
                                        "overlays",
                                        "report",
                                        "resume",
                                        "json",
                                        "distill-features",
                                        "distill-segmentation",
                                        "distill-pose",
                                        "deep-features",
                                        "progress",
                                        "quiet",
                                        "overwrite",
                                        "config",
                                        "detections-cache",
                                        "members"};
    json_t *all = sac_options_to_json(&teach_command, set);
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        (void)json_object_del(all, local[i]);
    }
    // The run is another one with another network, wherever that lies.
    if (set->attributes.deep.network != NULL) {
        char *name = sac_deep_name(set->attributes.deep.network);
        (void)json_object_set_new(all, "deep-features", sac_json_text(name));
        sac_free(name);
    }
    bool foreign = false;
    for (const sac_option *o = options; o->name != NULL; o++) {
        if (o->name[0] == '\0') {
            const char *owner = o->help + strlen(GROUP);
            size_t length = strcspn(owner, ":");
            foreign =
                strncmp(o->help, GROUP, strlen(GROUP)) == 0 &&
                (family == NULL || strlen(family) != length || strncmp(owner, family, length) != 0);
        } else if (foreign) {
            (void)json_object_del(all, o->name);
        }
    }
    return all;
}

sac_status teach_options_fill(sac_teaching_options *out, teach_settings *set) {
    sac_backend backend = set->backend == 1 ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN;
    const sac_family *family = sac_family_at(set->teacher);
    *out = (sac_teaching_options){.dataset = set->dataset,
                                  .detector = set->detector,
                                  .detection = set->detection,
                                  .output = set->output,
                                  .family = family,
                                  .from = set->from,
                                  .backend = backend,
                                  .deep_features = set->attributes.deep.network,
                                  .block = (int)set->block,
                                  .filter = (int)set->filter,
                                  .overlay = set->overlay,
                                  .overlays = set->overlays,
                                  .training_maps = set->training_maps,
                                  .resume = set->resume,
                                  .overwrite = set->overwrite};
    for (size_t i = 0; i < sizeof FAMILIES / sizeof FAMILIES[0]; i++) {
        if (strcmp(FAMILIES[i].name, family->name) == 0)
            out->family_options = FAMILIES[i].fill(set, backend);
    }
    out->settings = settings_json(set, set->from != NULL ? NULL : family->name);
    return out->settings == NULL ? SAC_ERROR_MEMORY : SAC_OK;
}
