package campaign

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestColumnOfAQuestionInTheSendersWords(t *testing.T) {
	for header, want := range map[string]string{"自由認証:ペットの名前": "ペットの名前", "自由認証： 出身校 ": "出身校", "identity:free:First school": "First school"} {
		col, ok := parseHeader(header, nil)
		require.True(t, ok, header)
		require.Equal(t, columnFree, col.kind)
		require.Equal(t, want, col.name)
	}
	_, ok := parseHeader("自由認証:", nil)
	require.False(t, ok)
}
