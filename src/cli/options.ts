/** Options that several commands share. */
import { InvalidArgumentError, Option } from "commander";
import type { RetentionLimits } from "../audit/retention.ts";
import { parseResolver } from "../enforcer/resolvers.ts";
import { SallyportError } from "../errors.ts";
import { parseDuration } from "../policy/duration.ts";
import { parseSize } from "../policy/size.ts";

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

/** The state directory of a command that may inherit the option. Throws USAGE where there is none. */
export function requiredState(state: string | undefined): string {
  if (state !== undefined) return state;
  throw new SallyportError("USAGE", "Say which record with --state DIR.");
}

export function signKeyOption(): Option {
  return new Option("--sign-key <file>", "sign the record with this private key (logs keygen makes one)");
}

/** How long, and how much, of the record is kept. */
export function keepOptions(): Option[] {
  return [
    new Option("--keep-for <time>", "delete segments closed longer ago: 12h, 90d").argParser(duration),
    new Option("--keep-size <size>", "delete the oldest segments beyond: 10 GiB").argParser((value: string) => {
      const bytes = parseSize(value);
      if (bytes !== null) return bytes;
      throw new InvalidArgumentError("Write a size such as 500 MB or 10 GiB.");
    }),
  ];
}

export interface KeepArguments {
  /** Milliseconds. */
  keepFor?: number;
  /** Bytes. */
  keepSize?: number;
}

export function retentionOf({ keepFor, keepSize }: KeepArguments): RetentionLimits {
  return { keepMs: keepFor ?? null, keepBytes: keepSize ?? null };
}

/** A whole number in a range. */
export function integer(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (Number.isInteger(number) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`Write a whole number from ${least} to ${most}.`);
  };
}

/** A time as it is, or how long ago (`10m`, `2h`, `3d`) as RFC 3339. */
export function timeOrAgo(text: string): string {
  const ago = parseDuration(text);
  return ago === null ? text : new Date(Date.now() - ago).toISOString();
}

/** A length of time in milliseconds. */
export function duration(text: string): number {
  const length = parseDuration(text);
  if (length !== null && length > 0) return length;
  throw new InvalidArgumentError("Write 90s, 10m, 2h or 3d.");
}

/** A share above 0 and below 1: `0.05`, `5%`. */
export function share(text: string): number {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text);
  const value = percent === null ? Number(text === "" ? "none" : text) : Number(percent[1]) / 100;
  if (value > 0 && value < 1) return value;
  throw new InvalidArgumentError("Write a share such as 0.05 or 5%.");
}
