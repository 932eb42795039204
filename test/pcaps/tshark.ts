/** Asks tshark what it reads in a capture: the second opinion of the differential tests. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";

/** One frame: a list of values for each field asked for, empty where the frame has none. */
export type Row = Record<string, string[]>;

/**
 * The fields of the frames that match `filter`. Fails loudly where tshark is missing: a second opinion that is skipped
 * is none.
 */
export function tshark(
  path: string,
  fields: readonly string[],
  filter = "",
  options: readonly string[] = [],
): Promise<Row[]> {
  const args = ["-r", path, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;", "-E", "separator=/t"];
  for (const option of options) args.push("-o", option);
  for (const field of fields) args.push("-e", field);
  if (filter !== "") args.push("-Y", filter);
  return new Promise((resolve, reject) => {
    execFile("tshark", args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      // A capture that ends in a damaged record still has all frames before it.
      if (error !== null && !stderr.includes("appears to be damaged or corrupt")) {
        const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
        reject(missing ? new Error("tshark is not installed; install the Debian/Ubuntu package tshark") : error);
        return;
      }
      const lines = stdout.split("\n").filter((line) => line !== "");
      resolve(
        lines.map((line) => {
          const cells = line.split("\t");
          return Object.fromEntries(
            fields.map((field, i) => [field, (cells[i] ?? "") === "" ? [] : cells[i]!.split(";")]),
          );
        }),
      );
    });
  });
}

/** Runs `job` over `items`, two at a time. */
export async function inPairs<T, R>(items: readonly T[], job: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const at = next++;
      results[at] = await job(items[at]!);
    }
  };
  await Promise.all([work(), work()]);
  return results;
}

/** Writes packets that start with their IP header as a pcap file (link type 101). */
export function writePcap(path: string, packets: readonly Uint8Array[]): void {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(101, 20);
  const parts: Uint8Array[] = [header];
  for (const packet of packets) {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(packet.length, 8);
    record.writeUInt32LE(packet.length, 12);
    parts.push(record, packet);
  }
  writeFileSync(path, Buffer.concat(parts));
}
