/** Who the command runs as: the user behind sudo, or whoever we are. */
import { readFileSync } from "node:fs";
import { attempt } from "../kernel/commands.ts";

export interface User {
  uid: number;
  gid: number;
  /** Null where the system does not know the number. */
  name: string | null;
  home: string;
  shell: string;
}

/** The user who called sudo, or null where nobody did (or root did). */
export function invokingUser(env: NodeJS.ProcessEnv): User | null {
  const [uid, gid] = [idOf(env["SUDO_UID"]), idOf(env["SUDO_GID"])];
  if (process.getuid?.() !== 0 || uid === null || gid === null || uid === 0) return null;
  // getent knows the users of every name service; a minimal system may lack it.
  const entry = entryOf(uid, readFileSync("/etc/passwd", "utf8")) ?? entryOf(uid, lookUp(uid));
  return { uid, gid, name: entry?.[0] ?? null, home: entry?.[5] || "/", shell: entry?.[6] || "/bin/sh" };
}

/** The environment of the user's own login in place of root's, without what sudo told us. */
export function environmentOf(user: User | null, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = { ...env };
  if (user === null) return own;
  const name = user.name ?? String(user.uid);
  Object.assign(own, { USER: name, LOGNAME: name, HOME: user.home, SHELL: user.shell });
  for (const each of ["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND", "SUDO_HOME", "MAIL"]) delete own[each];
  return own;
}

/** Runs `fn`, which is synchronous, with the user's rights to files; before any other thread is started. */
export function asUser<T>(user: User | null, fn: () => T): T {
  if (user === null) return fn();
  const groups = process.getgroups!();
  process.setgroups!([user.gid]);
  process.setegid!(user.gid);
  process.seteuid!(user.uid);
  try {
    return fn();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
    process.setgroups!(groups);
  }
}

function idOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : null;
}

function entryOf(uid: number, passwd: string): string[] | undefined {
  return passwd
    .split("\n")
    .map((line) => line.split(":"))
    .find((fields) => fields[2] === String(uid));
}

function lookUp(uid: number): string {
  try {
    return attempt("getent", ["passwd", String(uid)]).stdout;
  } catch {
    return "";
  }
}
