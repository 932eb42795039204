/**
 * The three archive formats that package managers unpack, as far as small text files need them: ustar (npm, the members of
 * a .deb), ar (the .deb itself) and ZIP (a wheel). Pure: entries in, bytes out, no clocks.
 */
import { crc32 } from "node:zlib";

export type Entry = { path: string; data: string | Buffer };

/** ustar (POSIX.1-1988): for each file a 512-byte header, the data, padding to 512; two empty blocks at the end. */
export function tar(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.flatMap(tarEntry), Buffer.alloc(1024)]);
}

function tarEntry({ path, data }: Entry): Buffer[] {
  const bytes = Buffer.from(data);
  const header = Buffer.alloc(512);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;
  header.write(path, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(bytes.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.write("        0", 148);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
}

/** ar(5): a 60-byte text header for each member, which begins at an even place. */
export function ar(entries: readonly Entry[]): Buffer {
  const members = entries.flatMap(({ path, data }) => {
    const bytes = Buffer.from(data);
    const fields = [path.padEnd(16), "0".padEnd(12), "0".padEnd(6), "0".padEnd(6), "100644".padEnd(8)];
    const header = Buffer.from(`${fields.join("")}${String(bytes.length).padEnd(10)}\`\n`);
    return [header, bytes, Buffer.from(bytes.length % 2 === 0 ? "" : "\n")];
  });
  return Buffer.concat([Buffer.from("!<arch>\n"), ...members]);
}

/** ZIP (APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16), stored without compression, dated 1 January 1980. */
export function zip(entries: readonly Entry[]): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { path, data } of entries) {
    const bytes = Buffer.from(data);
    const name = Buffer.from(path);
    // Version 2.0, no flags, method 0, time, date, CRC-32, sizes, length of the name, no extra field.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    locals.push(Buffer.from("PK\x03\x04", "latin1"), common, name, bytes);
    // No comment, disk 0, no attributes but the mode of a plain file, where the local header is.
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE((0o100644 << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    // Made by 2.0 on Unix (3).
    central.push(Buffer.from("PK\x01\x02\x14\x03", "latin1"), common, rest, name);
    offset += 30 + name.length + bytes.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
