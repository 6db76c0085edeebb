// What this program calls itself, in answers, in the log and in what it writes.

export const VERSION = 'strongroom-0.1.0';
