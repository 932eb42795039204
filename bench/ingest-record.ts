/** What is in the record that bench/ingest.ts left: added events, losses that it tells of, and whether its chain holds. */
import { readEvents } from "../src/audit/read.ts";
import { lostBefore } from "../src/audit/spool-status.ts";
import { listSegments } from "../src/audit/segment.ts";
import { verifyRecord } from "../src/audit/verify.ts";
import { statSync } from "node:fs";

export interface Looked {
  /** Events that the flood offered. */
  flood: number;
  /** Events lost, as the record tells it. */
  told: number;
  records: number;
  verified: boolean;
  bytes: number;
}

/** Reads all of it twice. `floodNet`: how the flood's sources begin. */
export async function lookAt(state: string, floodNet = "10.99."): Promise<Looked> {
  const looked: Looked = { flood: 0, told: 0, records: 0, verified: false, bytes: 0 };
  for await (const event of readEvents(state)) {
    looked.records++;
    if (event.kind !== "detection" && event.source?.ip.startsWith(floodNet) === true) looked.flood++;
    looked.told += lostBefore(event);
  }
  const { ok, records } = await verifyRecord(state);
  looked.verified = ok && records === looked.records;
  for (const { path } of (await listSegments(state)).segments) looked.bytes += statSync(path).size;
  return looked;
}
