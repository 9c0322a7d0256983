package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// metadataNetworks are where clouds hand out a host's own credentials: EC2's
// instance metadata over IPv4 (Azure's and Google's too) and IPv6, the container
// endpoints of ECS and EKS, and Google's over IPv6.
func metadataNetworks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("169.254.169.254/32"),
		netip.MustParsePrefix("169.254.170.0/24"),
		netip.MustParsePrefix("169.254.170.2/32"), // again: a smaller network of the Engine's would come first
		netip.MustParsePrefix("169.254.170.23/32"),
		netip.MustParsePrefix("fd00:ec2::254/128"),
		netip.MustParsePrefix("fd00:ec2::23/128"),
		netip.MustParsePrefix("fd20:ce::254/128"),
	}
}

// block makes the metadata services unreachable in this network namespace, and
// makes sure. A route cannot be taken back without CAP_NET_ADMIN, and only a
// packet socket (CAP_NET_RAW) could pass it by: no container that joins has
// either.
func block() error {
	for _, n := range metadataNetworks() {
		if err := prohibit(n); err != nil && (n.Addr().Is4() || !noIPv6(err)) {
			return fmt.Errorf("block %s: %w", n, err)
		}
	}
	for _, n := range metadataNetworks() {
		if err := mustBeBlocked(n.Addr()); err != nil {
			return err
		}
	}
	return nil
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

// mustBeBlocked asks the kernel for the way to addr, without sending anything.
func mustBeBlocked(addr netip.Addr) error {
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: 80, Addr: to4(addr)})
	if addr.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: 80, Addr: addr.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && addr.Is6() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("try the way to %s: %w", addr, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Connect(fd, to); err == nil {
		return fmt.Errorf("block %s: the kernel took the route and does not follow it", addr)
	}
	return nil
}

func to4(addr netip.Addr) [4]byte {
	if addr.Is4() {
		return addr.As4()
	}
	return [4]byte{}
}

// prohibit adds the route by which the kernel refuses to send to n.
func prohibit(n netip.Prefix) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	if err := unix.Sendto(fd, routeRequest(n), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	size, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if size < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("the kernel's answer is no acknowledgement")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 { //nolint:gosec // a negative errno
		return unix.Errno(-code) //nolint:gosec // an errno
	}
	return nil
}

// routeRequest is RTM_NEWROUTE of rtnetlink(7) for a route of type prohibit.
func routeRequest(n netip.Prefix) []byte {
	family, addr := byte(unix.AF_INET), n.Addr().AsSlice()
	if n.Addr().Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, uint8(n.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_PROHIBIT, 0, 0, 0, 0} //nolint:gosec // at most 128
	body = attribute(body, unix.RTA_DST, addr)
	if n.Addr().Is6() {
		// The best metric, so that no other route comes first. For IPv4 it is 0,
		// the default.
		body = attribute(body, unix.RTA_PRIORITY, binary.NativeEndian.AppendUint32(nil, 1))
	}
	head := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body))) //nolint:gosec // some dozens of bytes
	head = binary.NativeEndian.AppendUint16(head, unix.RTM_NEWROUTE)
	head = binary.NativeEndian.AppendUint16(head, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	head = binary.NativeEndian.AppendUint32(head, 1)
	head = binary.NativeEndian.AppendUint32(head, 0)
	return append(head, body...)
}

func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value))) //nolint:gosec // at most 20
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
