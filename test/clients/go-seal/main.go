// The program that go.test.ts runs after the story: the seal with which Vault and OpenBao have their root key wrapped, as their configuration would set it up.

package main

import (
	"context"
	"fmt"
	"os"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/azurekeyvault/v2"
)

func main() {
	ctx := context.Background()
	seal := azurekeyvault.NewWrapper()
	_, err := seal.SetConfig(ctx, wrapping.WithConfigMap(map[string]string{
		"vault_name": os.Args[1],
		"key_name":   os.Args[2],
		"resource":   os.Getenv("STRONGROOM_MANAGED_HSM_SUFFIX"),
	}))
	check(err)
	wrapped, err := seal.Encrypt(ctx, []byte("a root key"))
	check(err)
	opened, err := seal.Decrypt(ctx, wrapped)
	check(err)
	if string(opened) != "a root key" {
		panic("it is another one")
	}
	fmt.Println("wrapped with version", wrapped.KeyInfo.KeyId)
	fmt.Println("the end")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
