/* wall_clock.h - moves the wall clock of the test program that it is linked into; monotonic clocks stay as they are. Any thread. */
#ifndef MG_TESTS_WALL_CLOCK_H
#define MG_TESTS_WALL_CLOCK_H

void mg_test_wall_ahead(long seconds); /* of the true time; 0: right again */

#endif
