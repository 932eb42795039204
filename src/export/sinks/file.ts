/**
 * Records appended to a file, one a line, durable before they count as taken. The file is opened by name for each batch, so
 * that renaming it away rotates it. A line that was cut off by a crash or a full disk is ended first: a reader then sees one
 * broken line and, since it is sent again, the whole one.
 */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { SinkConfig } from "../../config/sink.ts";
import type { Sink } from "../courier.ts";
import { DeliveryFailure } from "../failure.ts";
import { lineOf } from "../formats/format.ts";
import type { Outgoing } from "../record.ts";

type FileConfig = Extract<SinkConfig, { to: "file" }>;

const { O_RDONLY, O_DIRECTORY, O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;

export class FileSink implements Sink {
  readonly #config: FileConfig;
  #isWriting = false;

  constructor(config: FileConfig) {
    this.#config = config;
  }

  get to(): string {
    return this.#config.path;
  }

  async deliver(records: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    // An operation on a file cannot be broken off; a second one would hold a second thread, and so on.
    if (this.#isWriting) throw new DeliveryFailure(`${this.#config.path}: the file system does not answer`);
    this.#isWriting = true;
    const written = this.#write(records).finally(() => (this.#isWriting = false));
    await new Promise<void>((resolve, reject) => {
      written.then(resolve, reject);
      signal.addEventListener("abort", () => reject(new DeliveryFailure("broken off")), { once: true });
    });
  }

  async #write(records: readonly Outgoing[]): Promise<void> {
    const { path, format } = this.#config;
    // Not blocking: a pipe without a reader would hold a thread for ever.
    const handle = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw new DeliveryFailure(`${path} is not a file`);
      const start = (await endsWithNewline(handle, stats.size)) ? "" : "\n";
      await handle.writeFile(start + records.map((record) => `${lineOf(record, format)}\n`).join(""));
      await handle.datasync();
      if (stats.size === 0) await syncFolder(path);
    } finally {
      await handle.close();
    }
  }

  close(): void {}
}

async function endsWithNewline(handle: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return true;
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] === 10;
}

/** Makes a new file's name durable: without it a power cut takes the file and all that is in it. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(dirname(path), O_RDONLY | O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
