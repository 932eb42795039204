"""Sends one UDP datagram past the usual ways: send.py HOW DEVICE MARK PAYLOAD SOURCE DESTINATION PORT NEXT_HOP_MAC

HOW is udp (an ordinary socket), raw (SOCK_RAW with a header of its own), packet (AF_PACKET, a frame of its own), arp (the same, and the
kernel is told that it is ARP), vlan (the same, in a priority tag), cooked (AF_PACKET, SOCK_DGRAM), dhcp (a broadcast like a DHCP
client's). MARK is set with SO_MARK where it is not 0.
"""

import ipaddress
import socket
import struct
import sys

how, device, mark, payload, source, destination, port, mac = sys.argv[1:]
mark, port, payload, mac = int(mark, 0), int(port), payload.encode(), bytes.fromhex(mac.replace(":", ""))
six = ":" in destination


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def datagram(source, destination, source_port, port, payload):
    from_bytes, to_bytes = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    length = 8 + len(payload)
    header = struct.pack("!HHH", source_port, port, length)
    pseudo = from_bytes + to_bytes + (struct.pack("!II", length, 17) if six else struct.pack("!HH", 17, length))
    udp = header + struct.pack("!H", checksum(pseudo + header + b"\0\0" + payload)) + payload
    if six:
        return struct.pack("!IHBB", 0x60000000, len(udp), 17, 64) + from_bytes + to_bytes + udp
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0, from_bytes, to_bytes)
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + udp


def opened(*kind):
    s = socket.socket(*kind)
    if mark:
        s.setsockopt(socket.SOL_SOCKET, 36, struct.pack("=I", mark))
    return s


packet = datagram(source, destination, 68 if how == "dhcp" else 4444, port, payload)
ethertype = 0x86DD if six else 0x0800
if how == "udp":
    opened(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM).sendto(payload, (destination, port))
elif how == "raw":
    s = opened(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.sendto(packet, (destination, 0))
elif how == "cooked":
    s = opened(socket.AF_PACKET, socket.SOCK_DGRAM)
    s.sendto(packet, (device, ethertype, 0, 0, mac))
else:
    s = opened(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((device, 0))
    own = s.getsockname()[4]
    tag = b"\x81\x00\x00\x00" if how == "vlan" else b""
    frame = mac + own + tag + struct.pack("!H", ethertype) + packet
    s.sendto(frame, (device, 0x0806 if how == "arp" else ethertype))
