package callback

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSignatureOfTheSpecification has the example of the Standard Webhooks specification and its libraries.
func TestSignatureOfTheSpecification(t *testing.T) {
	key, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)))
}

func TestSecrets(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	require.NotEqual(t, a, b)
	key, err := ParseSecret(a)
	require.NoError(t, err)
	require.Len(t, key, 32)
	enc := base64.StdEncoding.EncodeToString
	for _, bad := range []string{"", "whsec_", a[6:], "whsec_" + enc(make([]byte, 23)), "whsec_" + enc(make([]byte, 65)), a + "!", strings.ToUpper(a)} {
		_, err := ParseSecret(bad)
		require.ErrorIs(t, err, errSecret, bad)
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Fuzz(func(t *testing.T, s string) {
		key, err := ParseSecret(s)
		if err == nil {
			require.GreaterOrEqual(t, len(key), minSecret)
			require.LessOrEqual(t, len(key), maxSecret)
		}
	})
}
