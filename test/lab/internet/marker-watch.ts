/**
 * Finds markers in what the servers read after decryption, where a packet capture is blind. One watch per stream: a
 * marker cut by chunk borders is found too.
 */
import { markerPattern } from "../marker.ts";

/** A marker seen by a server: where it arrived and in what. */
export type PlaintextSighting = { marker: string; address: string; port: number; server: string; where: string };

export class MarkerWatch {
  readonly #report: (sighting: PlaintextSighting) => void;
  readonly #about: Omit<PlaintextSighting, "marker">;
  #tail = "";

  constructor(about: Omit<PlaintextSighting, "marker">, report: (sighting: PlaintextSighting) => void) {
    this.#about = about;
    this.#report = report;
  }

  feed(chunk: Buffer | string): void {
    const text = this.#tail + (typeof chunk === "string" ? chunk : chunk.toString("latin1"));
    for (const match of text.matchAll(markerPattern())) {
      this.#report({ ...this.#about, marker: match[0].toLowerCase() });
    }
    this.#tail = text.slice(-15);
  }
}
