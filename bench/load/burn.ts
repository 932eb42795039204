/** Burns a share of one core until it is killed, in pieces of some milliseconds. `node burn.ts SHARE` */
const share = Math.min(1, Number(process.argv[2]));
const pieceMs = 5;
const pause = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  // By its own processor time, not by the clock: on a busy machine it must not burn less for being kept waiting.
  const wall = performance.now();
  const used = process.cpuUsage();
  while (process.cpuUsage(used).user + process.cpuUsage(used).system < pieceMs * 1000);
  const rest = pieceMs / share - (performance.now() - wall);
  if (rest > 0) Atomics.wait(pause, 0, 0, rest);
}
