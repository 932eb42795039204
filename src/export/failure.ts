/** Why a sink did not take a batch, and what that means for the next attempt. */

export interface FailureOptions {
  /** The sink's own wish: not before so many milliseconds. */
  retryAfterMs?: number | null;
  /** It is the amount that is not taken, or one among them: send less at once, and pass over a single one. */
  tooLarge?: boolean;
}

/** Thrown by a sink's `deliver`. Nothing of the batch counts as delivered. */
export class DeliveryFailure extends Error {
  readonly retryAfterMs: number | null;
  readonly tooLarge: boolean;

  constructor(message: string, { retryAfterMs = null, tooLarge = false }: FailureOptions = {}) {
    super(message);
    this.name = "DeliveryFailure";
    this.retryAfterMs = retryAfterMs;
    this.tooLarge = tooLarge;
  }
}

/** Any error of a delivery in a few words for people: bounded, one line, nothing that could drive a terminal. */
export function wordsOf(error: unknown): string {
  const text =
    error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code || error.name : String(error);
  return text
    .replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ")
    .trim()
    .slice(0, 300);
}
