package agent

// This file sets a packet filter, as nft(8) would: no image has that program.

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// filterName is that of the tables and chains.
const filterName = "envrole"

const (
	accept  = 1 // NF_ACCEPT and NF_DROP of the kernel's netfilter.h
	dropped = 0
)

// filter drops what this network namespace sends to networks. For each family it
// is what nft would make of
//
//	table ip envrole {
//		chain envrole {
//			type filter hook output priority -300; policy accept;
//			ip daddr 169.254.169.254 drop
//		}
//	}
//
// The whole stands or nothing of it.
func filter(networks []netip.Prefix) error {
	messages := []message{batch(unix.NFNL_MSG_BATCH_BEGIN)}
	messages = append(messages, filterOf(unix.NFPROTO_IPV4, networks)...)
	if haveIPv6() {
		messages = append(messages, filterOf(unix.NFPROTO_IPV6, networks)...)
	}
	return netlink(unix.NETLINK_NETFILTER, append(messages, batch(unix.NFNL_MSG_BATCH_END))...)
}

// haveIPv6 is false where no program can have a socket of IPv6.
func haveIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return false
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	return true
}

// filterOf are the messages for the table of one family.
func filterOf(family byte, networks []netip.Prefix) []message {
	add := func(kind, flags uint16, attributes ...[]byte) message {
		m := message{kind: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, flags: unix.NLM_F_ACK | unix.NLM_F_CREATE | flags, body: []byte{family, unix.NFNETLINK_V0, 0, 0}}
		for _, a := range attributes {
			m.body = append(m.body, a...)
		}
		return m
	}
	messages := []message{
		add(unix.NFT_MSG_NEWTABLE, 0, text(unix.NFTA_TABLE_NAME, filterName)),
		add(unix.NFT_MSG_NEWCHAIN, 0, text(unix.NFTA_CHAIN_TABLE, filterName), text(unix.NFTA_CHAIN_NAME, filterName),
			nested(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, unix.NF_INET_LOCAL_OUT), number(unix.NFTA_HOOK_PRIORITY, -300)),
			number(unix.NFTA_CHAIN_POLICY, accept), text(unix.NFTA_CHAIN_TYPE, "filter")),
	}
	for _, n := range networks {
		if n.Addr().Is4() == (family == unix.NFPROTO_IPV4) {
			messages = append(messages, add(unix.NFT_MSG_NEWRULE, unix.NLM_F_APPEND, text(unix.NFTA_RULE_TABLE, filterName), text(unix.NFTA_RULE_CHAIN, filterName), dropTo(n)))
		}
	}
	return messages
}

// dropTo are the expressions of a rule: load the destination from the packet's
// head, compare it, drop. A rule ends where a comparison fails. Only whole bytes
// are compared: the length of n is a multiple of 8.
func dropTo(n netip.Prefix) []byte {
	offset, size := int32(16), n.Bits()/8 // of the destination in the head of IPv4
	if n.Addr().Is6() {
		offset = 24
	}
	return nested(unix.NFTA_RULE_EXPRESSIONS,
		expression("payload", number(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1), number(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER),
			number(unix.NFTA_PAYLOAD_OFFSET, offset), number(unix.NFTA_PAYLOAD_LEN, int32(size))), //nolint:gosec // at most 16
		expression("cmp", number(unix.NFTA_CMP_SREG, unix.NFT_REG_1), number(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ),
			nested(unix.NFTA_CMP_DATA, attribute(unix.NFTA_DATA_VALUE, n.Addr().AsSlice()[:size]))),
		expression("immediate", number(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT),
			nested(unix.NFTA_IMMEDIATE_DATA, nested(unix.NFTA_DATA_VERDICT, number(unix.NFTA_VERDICT_CODE, dropped)))),
	)
}

func expression(name string, data ...[]byte) []byte {
	return nested(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, name), nested(unix.NFTA_EXPR_DATA, data...))
}

// batch is the first or last message of what is to stand as a whole.
func batch(kind uint16) message {
	return message{kind: kind, body: binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES)}
}

func text(kind uint16, s string) []byte { return attribute(kind, []byte(s+"\x00")) }

// number is in network order, as nf_tables has them.
func number(kind uint16, n int32) []byte {
	return attribute(kind, binary.BigEndian.AppendUint32(nil, uint32(n))) //nolint:gosec // two's complement is meant
}

func nested(kind uint16, attributes ...[]byte) []byte {
	return attribute(kind|unix.NLA_F_NESTED, attributes...)
}
