package main

import (
	"testing"

	"github.com/kakitome/kakitome/plugins/proto"
)

// The largest batch of the contract must stay far below the host's deadline of 2 s.
func BenchmarkLargestBatch(b *testing.B) {
	in := &proto.CanonicalRequest{}
	for i := range maxItems {
		item := &proto.CanonicalItem{Field: "kana_name", Level: "L3", Value: "やまだ　はなこ"}
		if i%2 == 1 {
			item = &proto.CanonicalItem{Field: "birth_date", Value: "平成10年1月1日"}
		}
		in.Items = append(in.Items, item)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (knowledge{}).Canonical(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
