/**
 * Who writes a file in certain folders (fanotify(7), groups that report names: Linux 5.9): closed after writing, or put in place
 * by a rename. A mark on each folder and none on the mount: what a build writes elsewhere costs nothing. Called by the observer.
 */
import * as libc from "./libc.ts";

const CLOSE_WRITE = 0x8;
const MOVED_TO = 0x80;
const OVERFLOW = 0x4000;
const ON_CHILD = 0x0800_0000;
const METADATA = 24;
const DFID_NAME = 2;
/** Of an information record: header, and of the handle: fsid, size, type. */
const RECORD = 4;
const FSID = 8;
const HANDLE = 8;
const READ = 256 * 1024;

export interface Written {
  /** In the initial process namespace where we are. */
  pid: number;
  folder: string;
  name: string;
}

/** One event of a group, undecoded: the folder is its handle. */
export interface FanotifyEvent {
  pid: number;
  overflow: boolean;
  handle: string | null;
  name: string | null;
}

export class FolderWatch {
  /** Events were lost. */
  overflowed = false;
  readonly #fd: number;
  readonly #folders = new Map<string, string>();
  readonly #bytes = Buffer.alloc(READ);

  /** Throws KernelError. */
  constructor() {
    this.#fd = libc.fanotifyInit();
  }

  get size(): number {
    return this.#folders.size;
  }

  /** Watches a folder; false where that cannot be. */
  add(folder: string): boolean {
    const handle = libc.handleOf(folder);
    if (handle === null || libc.fanotifyMark(this.#fd, CLOSE_WRITE | MOVED_TO | ON_CHILD, folder) < 0) return false;
    this.#folders.set(handle, folder);
    return true;
  }

  /** What was written since the last call. */
  take(): Written[] {
    const written: Written[] = [];
    for (;;) {
      const length = libc.read(this.#fd, this.#bytes);
      if (length <= 0) return written;
      for (const { pid, overflow, handle, name } of readFanotify(this.#bytes.subarray(0, length))) {
        if (overflow) this.overflowed = true;
        const folder = handle === null ? undefined : this.#folders.get(handle);
        if (folder !== undefined && name !== null) written.push({ pid, folder, name });
      }
    }
  }

  close(): void {
    libc.close(this.#fd);
  }
}

/** The events of one read(2); what is not whole ends it. */
export function readFanotify(bytes: Buffer): FanotifyEvent[] {
  const events: FanotifyEvent[] = [];
  for (let at = 0; at + METADATA <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    const end = at + length;
    if (length < METADATA || end > bytes.length) break;
    const event: FanotifyEvent = {
      pid: bytes.readInt32LE(at + 20),
      overflow: (bytes.readUInt32LE(at + 8) & OVERFLOW) !== 0,
      handle: null,
      name: null,
    };
    for (let record = at + bytes.readUInt16LE(at + 6); record + RECORD + FSID + HANDLE <= end;) {
      const size = bytes.readUInt16LE(record + 2);
      if (size < RECORD || record + size > end) break;
      const from = record + RECORD + FSID;
      const handleEnd = from + HANDLE + bytes.readUInt32LE(from);
      if (bytes[record] === DFID_NAME && handleEnd < record + size) {
        event.handle = bytes.toString("latin1", from, handleEnd);
        const name = bytes.subarray(handleEnd, record + size);
        const zero = name.indexOf(0);
        event.name = name.toString("utf8", 0, zero < 0 ? name.length : zero);
      }
      record += size;
    }
    events.push(event);
    at = end;
  }
  return events;
}
