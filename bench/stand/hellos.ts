/** ClientHellos as a file each: a classical one of some 370 bytes, and one with a post-quantum key share, of two segments. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { connect } from "node:tls";
import { deniedName, name } from "./stand.ts";

export interface Hello {
  /** As in a case's name. */
  label: string;
  file: string;
  bytes: Buffer;
  /** Where the answering end waits for so many bytes. */
  port: number;
}

export interface Hellos {
  classical: Hello;
  postQuantum: Hello;
  /** Classical, at the port where downloads are had. */
  bulk: Hello;
  /** Classical, for a name that nobody's rules allow. */
  denied: Hello;
}

/** Writes them into `folder`. */
export async function writeHellos(folder: string): Promise<Hellos> {
  const write = async (label: string, port: number, servername: string, group: string): Promise<Hello> => {
    const bytes = await capture(servername, group);
    const file = join(folder, `${label}.hello`);
    writeFileSync(file, bytes);
    return { label, file, bytes, port };
  };
  return {
    classical: await write("classical", 18_443, name, "X25519"),
    postQuantum: await write("post-quantum", 18_444, name, "X25519MLKEM768"),
    bulk: await write("bulk", 18_445, name, "X25519"),
    denied: await write("denied", 18_443, deniedName, "X25519"),
  };
}

/** The first flight of Node's own client (OpenSSL) with this key exchange. */
function capture(servername: string, ecdhCurve: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        resolve(Buffer.from(chunk));
        done();
        queueMicrotask(() => socket.destroy());
      },
    });
    const socket = connect({ socket: wire, servername, ecdhCurve, rejectUnauthorized: false });
    socket.on("error", reject);
  });
}
