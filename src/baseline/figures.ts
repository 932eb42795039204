/** Figures as people read them: shares in per cent, numbers of runs without digits that mean nothing. */

/** An estimate is not exact to the last digit: two of them, rounded up. */
export function rough(runs: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(runs)) - 1);
  return Math.ceil(runs / unit) * unit;
}

/** A share for people. */
export function text(share: number): string {
  const percent = share * 100;
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent.toPrecision(2)} %`;
}
