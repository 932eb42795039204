/**
 * Files and folders that the user names and root writes to, while a command that may not be trusted runs beside them and
 * may own the folder they are in. A link planted there must not lead root anywhere the user could not go himself, and a
 * record must not be exchanged for another without a word.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { SallyportError } from "../errors.ts";
import { asUser, type User } from "./user.ts";

/**
 * Opens the report for writing, as the user and before the command runs: what the name means later makes no difference.
 * Throws FILE_UNWRITABLE. Before any other thread is started.
 */
export function openReport(file: string, user: User | null): number {
  try {
    return asUser(user, () => openSync(file, constants.O_WRONLY | constants.O_CREAT, 0o644));
  } catch (error) {
    const text = `The report cannot be written to ${file}: ${(error as Error).message}.`;
    throw new SallyportError("FILE_UNWRITABLE", text, { file }, error);
  }
}

/** The folder of a record that is kept, held open: every path below {@link StateFolder.path} stays in that very folder. */
export class StateFolder {
  readonly path: string;
  readonly #named: string;
  readonly #fd: number;

  private constructor(named: string, fd: number) {
    this.#named = named;
    this.#fd = fd;
    this.path = `/proc/self/fd/${fd}`;
  }

  /** Makes it if need be, root's alone. Throws STATE_UNWRITABLE, also where the command could write to it. */
  static open(directory: string, user: User | null): StateFolder {
    const named = resolve(directory);
    let fd: number;
    try {
      mkdirSync(named, { recursive: true, mode: 0o700 });
      fd = openSync(named, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    } catch (error) {
      const text = `${named} cannot be used for the record: ${(error as Error).message}.`;
      throw new SallyportError("STATE_UNWRITABLE", text, { directory: named }, error);
    }
    const { uid, mode } = fstatSync(fd);
    if (user !== null && (uid === user.uid || (mode & 0o022) !== 0)) {
      closeSync(fd);
      const text = `The command could edit its own record in ${named}; name a folder that does not exist yet, or root's.`;
      throw new SallyportError("STATE_UNWRITABLE", text, { directory: named });
    }
    return new StateFolder(named, fd);
  }

  /** Whether the name still leads to this folder. */
  isInPlace(): boolean {
    const held = fstatSync(this.#fd);
    const found = statSync(this.#named, { throwIfNoEntry: false });
    return found !== undefined && found.ino === held.ino && found.dev === held.dev;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
