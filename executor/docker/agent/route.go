package agent

// This file sets the routes by which the kernel refuses to send.

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// prohibit adds the route by which the kernel refuses to send to n, by
// RTM_NEWROUTE of rtnetlink(7).
func prohibit(n netip.Prefix) error {
	family := byte(unix.AF_INET)
	if n.Addr().Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, uint8(n.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_PROHIBIT, 0, 0, 0, 0} //nolint:gosec // at most 128
	body = append(body, attribute(unix.RTA_DST, n.Addr().AsSlice())...)
	if n.Addr().Is6() {
		// The best metric, so that no other route comes first. For IPv4 it is 0,
		// the default.
		body = append(body, attribute(unix.RTA_PRIORITY, binary.NativeEndian.AppendUint32(nil, 1))...)
	}
	return netlink(unix.NETLINK_ROUTE, message{
		kind: unix.RTM_NEWROUTE, flags: unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_REPLACE, body: body,
	})
}

// noIPv6 says that the namespace has no IPv6 at all.
func noIPv6(err error) bool {
	for _, e := range []unix.Errno{unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EACCES, unix.ENODEV, unix.EINVAL, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
