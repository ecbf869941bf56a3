/* Paths: what paths.c and Python (native_paths.py) share. The meaning is in oracle_paths.py; the reasons
 * are in docs/adr/0011-paths.md. */
#ifndef FOOTFALL_PATHS_H
#define FOOTFALL_PATHS_H

#include "scan.h"

enum {
    NAME_BITS = 20, /* a name's code, in a record and in a link */
    MAX_NAMES = 1000000,
    NO_TARGET = (1 << NAME_BITS) - 1,
    IS_START = 1, /* roles of a label */
    IS_END = 2,
};

typedef enum { REACHED = 0, CONTINUED = 1, EXITED = 2 } path_outcome;

/* Fields as in paths_plan.PathsPlan; the layout is repeated in native_paths.py. */
typedef struct {
    int64_t gap_ms; /* a gap so long ends a session */
    uint32_t max_steps;
    uint32_t collapse;
    uint32_t by_session; /* sessions come with the events, gap_ms is not looked at */
    uint32_t with_start, with_end;
    uint64_t memory_bytes; /* what the events may take, and what is found as much again */
} paths_plan;

/* What the names mean, once all are known. Borrowed while walking. */
typedef struct {
    const uint32_t *labels; /* by the code of a name: the code of the node's label */
    const uint8_t *roles;   /* by the code of a label: IS_START, IS_END */
    uint64_t names;         /* how many of the former */
    uint64_t labels_count;  /* how many of the latter */
    uint32_t middle;        /* the label of what is left out between both points */
} paths_labels;

/* A number of the answer: a node, or with a target a link. */
typedef struct {
    uint32_t step, source, target, outcome;
} paths_cell;

/* The answer; the layout is repeated in native_paths.py. Each column is one allocation that scan_release frees. */
typedef struct {
    uint64_t sessions;
    uint64_t rows;    /* nodes and links */
    uint64_t *ids;    /* step << 40 | source << 20 | target; a node's target is NO_TARGET */
    uint64_t *counts; /* sessions */
    uint64_t *users;
    uint64_t *amounts; /* of a link: ms, summed; of a node: sessions that end there */
    uint64_t people;
    uint64_t *keys; /* of the actors behind a cell */
} paths_found;

#endif
