/** Options that several commands share. */
import { InvalidArgumentError, Option } from "commander";
import { parseResolver } from "../enforcer/resolvers.ts";

/** For an option that may be given again. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

export function dnsOption(): Option {
  return new Option("-d, --dns <address[:port]>", "DNS server to ask (repeatable); default: the host's")
    .argParser((value: string, before: string[]) => {
      parseResolver(value);
      return collect(value, before);
    })
    .default([] as string[], "the host's");
}

export function denyOption(): Option {
  return new Option("--dns-deny <how>", "how a denied name is answered")
    .choices(["nxdomain", "refused"])
    .default("nxdomain");
}

/** A whole number in a range. */
export function integer(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (Number.isInteger(number) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`Write a whole number from ${least} to ${most}.`);
  };
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds in `90s`, `10m`, `2h`, `3d`; null where it is none. */
function milliseconds(text: string): number | null {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  return match === null ? null : Number(match[1]) * units[match[2]!]!;
}

/** A time as it is, or how long ago (`10m`, `2h`, `3d`) as RFC 3339. */
export function timeOrAgo(text: string): string {
  const ago = milliseconds(text);
  return ago === null ? text : new Date(Date.now() - ago).toISOString();
}
