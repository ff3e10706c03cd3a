package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/kakitome/kakitome/plugins/proto"
)

// ParseConfig reads an instance's configuration into c, a pointer to a struct with json tags: one JSON object without a
// member that the struct has no field for, nothing behind it. What it returns names the field that is at fault where there
// is one, and never a value: a configuration holds passwords, and the decoder's own words could repeat a part of one. On a
// fault c is not to be used. Whether the values make sense is the module's to say, by ConfigError:
//
//	func parse(data []byte) (account, []*proto.Error) {
//		var a account
//		if faults := sdk.ParseConfig(data, &a); faults != nil {
//			return account{}, faults
//		}
//		if a.Merchant == "" {
//			faults = append(faults, sdk.ConfigError("merchant", "is required"))
//		}
//		return a, faults
//	}
func ParseConfig(data []byte, c any) []*proto.Error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(c)
	if err == nil {
		if _, more := d.Token(); more == io.EOF {
			return nil
		}
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		return []*proto.Error{ConfigError(wrongType.Field, "is of the wrong type")}
	}
	return []*proto.Error{ConfigError("", "want one JSON object with the members of this module's schema, and nothing else")}
}

// ConfigError is a fault of a configuration: of which field, and what is wanted. No value may stand in the message.
func ConfigError(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "bad_config", Field: field, Message: message}
}
