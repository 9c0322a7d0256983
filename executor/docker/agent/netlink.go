package agent

// This file speaks netlink(7) with the kernel.

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is one request; the head is made when it is sent.
type message struct {
	kind, flags uint16
	body        []byte
}

// netlink sends messages at once and waits until the kernel has acknowledged
// every one of which that is asked (NLM_F_ACK). The first complaint is returned.
func netlink(protocol int, messages ...message) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("talk to the kernel: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("talk to the kernel: %w", err)
	}
	// The kernel answers before it has taken the next word; this is for the day
	// when it has nothing to say.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		return fmt.Errorf("talk to the kernel: %w", err)
	}
	var request []byte
	wanted := 0
	for i, m := range messages {
		request = append(request, m.encode(uint32(i+1))...)
		if m.flags&unix.NLM_F_ACK != 0 {
			wanted++
		}
	}
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	answer := make([]byte, 16<<10)
	for wanted > 0 {
		size, _, err := unix.Recvfrom(fd, answer, 0)
		if err != nil {
			return fmt.Errorf("read the kernel's answer: %w", err)
		}
		n, err := acknowledged(answer[:size])
		if err != nil {
			return err
		}
		wanted -= n
	}
	return nil
}

// acknowledged counts the acknowledgements in an answer. It must hold nothing
// else.
func acknowledged(answer []byte) (n int, err error) {
	for len(answer) > 0 {
		if len(answer) < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
			return n, errors.New("the kernel's answer is no acknowledgement")
		}
		if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 { //nolint:gosec // a negative errno
			return n, unix.Errno(-code) //nolint:gosec // an errno
		}
		n++
		size := (int(binary.NativeEndian.Uint32(answer)) + 3) &^ 3
		if size < unix.NLMSG_HDRLEN {
			return n, errors.New("the kernel's answer is cut short")
		}
		answer = answer[min(size, len(answer)):]
	}
	return n, nil
}

func (m message) encode(number uint32) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(m.body))) //nolint:gosec // some hundreds of bytes
	b = binary.NativeEndian.AppendUint16(b, m.kind)
	b = binary.NativeEndian.AppendUint16(b, m.flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, number)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, m.body...) // its length is a multiple of 4
}

// attribute is a value with its kind and length, filled up to a multiple of 4.
func attribute(kind uint16, values ...[]byte) []byte {
	b := binary.NativeEndian.AppendUint16([]byte{0, 0}, kind)
	for _, v := range values {
		b = append(b, v...)
	}
	binary.NativeEndian.PutUint16(b, uint16(len(b))) //nolint:gosec // some hundreds of bytes
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
