/* Time: seconds for measuring, and a stamp for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

double clock_seconds(void);                        /* monotonic, since some moment in the past */
double clock_wall(void);                           /* seconds since 1970 */
void clock_stamp(char out[20]);                    /* local time as 2026-01-31,12:00:00 */
void clock_duration(double seconds, char out[32]); /* 9s, 3m07s, 2h05m, 3d04h */

#endif
