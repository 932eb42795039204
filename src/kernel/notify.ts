/** Word to systemd (sd_notify(3)): ready, stopping. Nothing where the service manager did not ask for it. */
import * as libc from "./libc.ts";

/** Sends `state` (`READY=1`) to $NOTIFY_SOCKET; true when it was sent. */
export function notifySystemd(state: string, socketName = process.env["NOTIFY_SOCKET"]): boolean {
  if (socketName === undefined || !/^[/@]/.test(socketName)) return false;
  // An abstract name starts with NUL and is not terminated (unix(7)).
  const path = Buffer.from(socketName.startsWith("@") ? `\0${socketName.slice(1)}` : `${socketName}\0`);
  const address = Buffer.alloc(2 + path.length);
  address.writeUInt16LE(libc.AF_UNIX, 0);
  path.copy(address, 2);
  const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0);
  try {
    const message = Buffer.from(state);
    return libc.sendto(fd, message, message.length, 0, address) >= 0;
  } finally {
    libc.close(fd);
  }
}
