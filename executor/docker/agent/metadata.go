package agent

import (
	"errors"
	"fmt"
	"net"
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
// makes sure. There are two walls. The packet filter holds whatever way a packet
// was given. The routes hold for forwarded packets too, and tell an honest
// program at once that it will get nothing; alone they are not enough, since a
// socket that names its device (SO_BINDTODEVICE, IP_PKTINFO, IP_UNICAST_IF: no
// capability is asked for) is taken past them. Neither can be taken back without
// CAP_NET_ADMIN, and only a packet socket (CAP_NET_RAW) could pass both by: no
// container that joins has either.
func block() error {
	if err := filter(metadataNetworks()); err != nil {
		return fmt.Errorf("block the metadata services (executor.docker.metadata): the kernel of the Engine's host must take a packet filter, by its module nf_tables: %w", err)
	}
	devices, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("block the metadata services: %w", err)
	}
	for _, n := range metadataNetworks() { // before there are routes: they would hide a filter that does nothing
		for _, device := range devices {
			if err := mustBeFiltered(n.Addr(), device.Name); err != nil {
				return err
			}
		}
	}
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

// mustBeBlocked asks the kernel for the way to addr, without sending anything.
func mustBeBlocked(addr netip.Addr) error {
	fd, to, err := tryTo(addr)
	if err != nil || fd < 0 {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Connect(fd, to); err == nil {
		return fmt.Errorf("block %s: the kernel took the route and does not follow it", addr)
	}
	return nil
}

// mustBeFiltered tries to send to addr through device, as any program may. If
// the filter did not hold, this would send an empty datagram.
func mustBeFiltered(addr netip.Addr, device string) error {
	fd, to, err := tryTo(addr)
	if err != nil || fd < 0 {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.BindToDevice(fd, device); errors.Is(err, unix.EPERM) {
		return nil // Linux before 5.7: then no job may either
	} else if err != nil {
		return fmt.Errorf("try the way to %s through %s: %w", addr, device, err)
	}
	if err := unix.Sendto(fd, nil, 0, to); err == nil {
		return fmt.Errorf("block %s: the kernel took the packet filter and sends through %s nevertheless", addr, device)
	}
	return nil
}

// tryTo gives a socket and an address for a datagram to addr; no socket where
// the kernel has no IPv6.
func tryTo(addr netip.Addr) (fd int, to unix.Sockaddr, err error) {
	family := unix.AF_INET
	if addr.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: 80, Addr: addr.As16()}
	} else {
		to = &unix.SockaddrInet4{Port: 80, Addr: addr.As4()}
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT) && addr.Is6():
		return -1, nil, nil
	case err != nil:
		return -1, nil, fmt.Errorf("try the way to %s: %w", addr, err)
	}
	return fd, to, nil
}
