"""What a picture or a clip should be like: single losses as functions, and objectives put together of them."""
