/* value_order.h - the keys of a table on a tape in order: numbers, then strings by bytes. For texts and packings that must not depend on pairs(). */
#ifndef MG_SCRIPT_VALUE_ORDER_H
#define MG_SCRIPT_VALUE_ORDER_H

#include "script/value.h"

/* c->count pointers to the keys of the MG_CELL_TABLE c, to be freed; each value follows its key (mg_cell_next). NULL where memory ended. */
const mg_cell **mg_cells_sorted(const mg_cell *c);

#endif
