/**
 * The recorder: takes events, gives each its place in the chain at once, and brings them to disk behind the caller's
 * back. `append` is synchronous, never throws and never waits, because a full disk must not stop or open the data path.
 *
 * Promises: what `flush` or `close` confirmed survives a power cut; what was appended a flush interval ago survives
 * kill -9; memory is bounded; when the disk fails, events that find no room are counted, and the first record after the
 * failure says how many and when. A lost event never had a number, so the chain on the disk has no hole. Does not
 * promise that a record cannot be rewritten by root: see `chain.ts`.
 *
 * Called by the enforcer. One spool for one state directory (`lock.ts`).
 */
import { Backlog } from "./backlog.ts";
import { type Bodies, safeText } from "./body.ts";
import { genesis, sealNext } from "./chain.ts";
import type { Link } from "./chain.ts";
import { formatTime } from "./clock.ts";
import type { Clock } from "./clock.ts";
import type { EventBody } from "./event.ts";
import { claimRecord } from "./lock.ts";
import type { StateLock } from "./lock.ts";
import { recover } from "./recover.ts";
import { describe, MAX_SEQ } from "./segment.ts";
import { withDefaults } from "./spool-options.ts";
import type { SpoolOptions } from "./spool-options.ts";
import { recovered, trouble } from "./spool-status.ts";
import type { Fault, Gap, SpoolStatus } from "./spool-status.ts";
import { Store } from "./store.ts";
import { ulidGenerator } from "./ulid.ts";
import { prepareDirectory } from "./writer.ts";
import { SallyportError } from "../errors.ts";

export type { SpoolOptions } from "./spool-options.ts";
export type { SpoolStatus } from "./spool-status.ts";

const maxIncidents = 64;
/** Failed attempts after which a segment that cannot be written is left for a new one. */
const patience = 3;

export class Spool {
  readonly #options: Required<SpoolOptions>;
  readonly #clock: Clock;
  readonly #nextId = ulidGenerator();
  readonly #claim: StateLock;
  readonly #backlog = new Backlog();
  readonly #store: Store;
  /** The last record sealed. */
  #link: Link = genesis;
  #lost = 0;
  #gap: Gap | null = null;
  #fault: Fault | null = null;
  /** What to record once the disk works again. */
  #incidents: EventBody[] = [];
  #syncDue = false;
  /** The lines gathered are to be a batch as soon as the one being written is in the file. */
  #cutDue = false;
  #lastSync = 0;
  #running = false;
  #pump: Promise<void> = Promise.resolve();
  #flushTimer: NodeJS.Timeout | undefined;
  #syncTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #waiting: { seq: number; resolve: () => void }[] = [];
  #closing: Promise<SpoolStatus> | null = null;

  private constructor(options: Required<SpoolOptions>, claim: StateLock) {
    this.#options = options;
    this.#clock = options.clock;
    this.#claim = claim;
    this.#store = new Store(options, this.#backlog, (body) => this.#tell(body));
  }

  /**
   * Opens the record and continues its chain; a torn or broken end is recorded, never refused. Takes the directory's
   * lock unless this process already holds it; or stands on the `claim` that it is given, and releases it. STATE_UNWRITABLE,
   * STATE_IN_USE.
   */
  static async open(options: SpoolOptions, claim: StateLock = claimRecord(options.directory)): Promise<Spool> {
    try {
      const spool = new Spool(withDefaults(options), claim);
      await spool.#begin();
      return spool;
    } catch (error) {
      claim.release();
      if (error instanceof SallyportError && error.code !== "RECORD_UNREADABLE") throw error;
      const { directory } = options;
      throw new SallyportError(
        "STATE_UNWRITABLE",
        `The record in ${directory} cannot be written: ${describe(error)}`,
        { directory },
        error,
      );
    }
  }

  async #begin(): Promise<void> {
    const { directory, key } = this.#options;
    await prepareDirectory(directory);
    const recovery = await recover(directory, key?.trusted);
    if (recovery.link.seq >= MAX_SEQ) {
      const message = `The record in ${directory} is at its last number; move it away.`;
      throw new SallyportError("STATE_UNWRITABLE", message, { directory });
    }
    this.#link = recovery.link;
    await this.#store.begin(recovery);
    for (const body of recovery.incidents) this.#tell(body);
  }

  /** Records an event: time, number and hash are given now. Never throws; what cannot be recorded is counted. */
  append(body: EventBody): void {
    this.#append(safeText(body), body.count ?? 1, this.#clock.now());
  }

  /** The same of many, in their order. */
  appendAll({ text, lines, counts }: Bodies): void {
    if (lines === 0) return;
    const now = this.#clock.now();
    let next = 0;
    for (const [line, body] of text.split("\n").entries()) {
      const events = counts[next]?.[0] === line ? counts[next++]![1] : 1;
      this.#append(body, events, now);
    }
  }

  /** Events that were made and never got here: they are counted as those are that find no room. */
  missed(events: number): void {
    this.#lose(events, this.#clock.now());
  }

  #append(body: string, events: number, now: number): void {
    if (this.#gap !== null || this.#closing !== null) return this.#lose(events, now);
    const sealed = this.#seal(body, now);
    if (this.#backlog.held + sealed.line.length + 1 > this.#options.bufferBytes) return this.#lose(events, now);
    this.#take(sealed, events);
    if (this.#backlog.gathered >= this.#options.flushBytes) this.#cut();
    else this.#flushTimer ??= setTimeout(() => this.#cut(), this.#options.flushMs);
  }

  #seal(body: string, now: number): { line: string; hash: string } {
    return sealNext(this.#link, body, formatTime(now), this.#nextId(Math.floor(now / 1000)));
  }

  #take(sealed: { line: string; hash: string }, events: number): void {
    this.#link = { seq: this.#link.seq + 1, hash: sealed.hash };
    this.#backlog.add(sealed.line, this.#link, events);
  }

  #lose(events: number, now: number): void {
    this.#lost += events;
    if (this.#closing !== null) return;
    if (this.#gap === null) {
      // From here on everything is lost until the memory is empty again: one gap, with one beginning and one end.
      this.#gap = { lost: events, first: now, last: now };
      // Where nothing waits to be written the gap is over, and told, before this returns.
      return this.#cut();
    }
    this.#gap.lost += events;
    this.#gap.last = now;
  }

  /** Records what happened to the record itself: now, or when it can be written again. */
  #tell(body: EventBody): void {
    if (this.#gap === null && this.#fault === null) this.#record(body);
    else if (this.#incidents.length < maxIncidents) this.#incidents.push(body);
  }

  /** Past the limits of `append`: these are few, and they must not be lost. */
  #record(body: EventBody): void {
    this.#take(this.#seal(safeText(body), this.#clock.now()), 0);
    this.#flushTimer ??= setTimeout(() => this.#cut(), this.#options.flushMs);
  }

  status(): SpoolStatus {
    return {
      seq: this.#link.seq,
      head: this.#link.hash,
      synced: this.#store.synced,
      segment: this.#store.segment,
      key: this.#options.key?.id ?? null,
      ...trouble(this.#fault, this.#gap),
      lost: this.#lost,
      bytes: this.#store.bytes,
      buffered: this.#backlog.waiting,
    };
  }

  /** Resolves when everything appended so far is durable; while the disk fails it waits. */
  async flush(): Promise<void> {
    const { seq } = this.#link;
    if (this.#closing !== null || this.#store.synced >= seq) return;
    await new Promise<void>((resolve) => {
      this.#waiting.push({ seq, resolve });
      this.#syncDue = true;
      this.#cut();
    });
  }

  /**
   * Records an event and resolves true when it is durable; false where it was lost. While the disk fails it waits. Not for
   * the data path.
   */
  async confirm(body: EventBody): Promise<boolean> {
    const before = this.#link.seq;
    this.append(body);
    const { seq } = this.#link;
    if (seq === before) return false;
    await this.flush();
    return this.#store.synced >= seq;
  }

  /** Segments of so many bytes were deleted, by whoever is charged with it (`retention.ts`). */
  forget(bytes: number): void {
    this.#store.forget(bytes);
  }

  /**
   * Writes and synchronises what is left, and releases the directory. Never rejects, so that nothing of a shutdown is
   * skipped: where the disk still fails, the answer is `degraded` and `lost` counts what was in memory.
   */
  async close(): Promise<SpoolStatus> {
    this.#closing ??= this.#finish();
    return await this.#closing;
  }

  async #finish(): Promise<SpoolStatus> {
    clearTimeout(this.#retryTimer);
    await this.#pump;
    this.#syncDue = true;
    this.#cut();
    // A segment that takes no more is left after some attempts; a disk without room will not have any in a moment.
    for (let attempt = 0; attempt <= patience; attempt++) {
      this.#start();
      await this.#pump;
      if (this.#fault === null || this.#fault.full) break;
    }
    this.#lost += this.#backlog.drop();
    const status = this.status();
    for (const timer of [this.#flushTimer, this.#syncTimer, this.#retryTimer]) clearTimeout(timer);
    await this.#store.close(this.#fault === null && this.#store.synced === this.#link.seq);
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    this.#claim.release();
    return status;
  }

  /**
   * Makes a batch of the sealed lines and sees to it that it is written. While another is being written they go on gathering: a
   * write takes a turn of the event loop whatever its size, and when the turns are full it is turns that are scarce.
   */
  #cut(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    const most = Math.max(this.#options.flushBytes, this.#options.segmentBytes / 16);
    this.#cutDue = this.#running && this.#fault === null && this.#backlog.gathered < most;
    if (!this.#cutDue) this.#backlog.cut();
    if (this.#fault === null) this.#start();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#pump = this.#run();
  }

  /** Every file operation happens in here, one after the other. Never rejects. */
  async #run(): Promise<void> {
    try {
      if (this.#fault !== null) await this.#repair(this.#fault);
      for (;;) {
        if (this.#cutDue && this.#backlog.front === undefined) {
          this.#cutDue = false;
          this.#backlog.cut();
        }
        const batch = this.#backlog.front;
        if (this.#syncDue && (batch === undefined || (batch.done === 0 && this.#isOverdue()))) await this.#sync();
        else if (batch !== undefined) await this.#write();
        else if (this.#gap !== null || this.#fault !== null) this.#recovered();
        else if (this.#closing !== null && this.#backlog.held > 0) this.#takeRest();
        else break;
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = false;
    }
  }

  /** Closing: what was told while the last batches were written must be written and durable as well. */
  #takeRest(): void {
    this.#backlog.cut();
    this.#syncDue = true;
  }

  /** Under a steady stream the queue is never empty: then durability has its turn by time and by size. */
  #isOverdue(): boolean {
    if (this.#backlog.unconfirmed === 0) return false;
    return this.#clock.now() - this.#lastSync >= this.#options.syncMs * 1000 || this.#isLarge();
  }

  #isLarge(): boolean {
    return this.#backlog.unconfirmed > this.#options.bufferBytes / 4;
  }

  async #write(): Promise<void> {
    await this.#store.writeFront();
    if (this.#fault !== null) this.#fault.attempts = 0;
    if (this.#isLarge()) this.#syncDue = true;
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      this.#syncDue = true;
      if (this.#fault === null) this.#start();
    }, this.#options.syncMs);
  }

  async #sync(): Promise<void> {
    await this.#store.sync();
    this.#lastSync = this.#clock.now();
    const durable = this.#store.synced;
    const satisfied = this.#waiting.filter((waiter) => waiter.seq <= durable);
    this.#waiting = this.#waiting.filter((waiter) => waiter.seq > durable);
    this.#syncDue = this.#waiting.length > 0;
    for (const { resolve } of satisfied) resolve();
  }

  async #repair(fault: Fault): Promise<void> {
    if (fault.attempts >= patience && !fault.full) await this.#store.leave(`could not be written (${fault.text})`);
    else await this.#store.reopen();
  }

  #fail(error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    const full = code === "ENOSPC" || code === "EDQUOT" || code === "EROFS";
    const { since, attempts } = this.#fault ?? { since: this.#clock.now(), attempts: 0 };
    this.#fault = { since, text: describe(error), attempts: attempts + 1, full };
    if (this.#closing !== null) return;
    const wait = Math.min(this.#options.retryMs * 2 ** attempts, this.#options.retryMaxMs);
    this.#retryTimer = setTimeout(() => this.#start(), wait);
  }

  /** Memory is empty and the file takes bytes again: the first thing written is what happened. */
  #recovered(): void {
    const body = recovered(this.#fault, this.#gap);
    this.#gap = this.#fault = null;
    this.#record(body);
    for (const body of this.#incidents.splice(0)) this.#record(body);
    this.#cut();
  }
}
